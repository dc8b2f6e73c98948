"""Which domain the endpoints of a region of AWS have.  Pure.

Source: "AWS Regions" and "Regional endpoints", AWS General Reference; the partitions of the SDKs.
"""

from __future__ import annotations

_USUAL = "amazonaws.com"

_DOMAINS = {
    "cn-": "amazonaws.com.cn",
    "eusc-": "amazonaws.eu",
    "us-iso-": "c2s.ic.gov",
    "us-isob-": "sc2s.sgov.gov",
    "eu-isoe-": "cloud.adc-e.uk",
    "us-isof-": "csp.hci.ic.gov",
}
"""By the beginning of a region's name, where the partition is not the usual one or GovCloud."""


def domain_of(region: str) -> str:
    """What an endpoint in a region ends with."""
    for beginning, domain in _DOMAINS.items():
        if region.startswith(beginning):
            return domain
    return _USUAL

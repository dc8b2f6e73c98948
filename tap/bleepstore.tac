"""BleepStore as a Twisted application file: ``twistd -ny tap/bleepstore.tac``.

For those who put it beside other services in one process, or start everything by ``-y``.  The
configuration comes from bleepstore.yaml in the working directory and from the environment.  The
log is twistd's own (``--logfile``, ``--syslog``, ``--logger``): log_format and log_level shape the
log of ``twistd bleepstore`` only.
"""

from twisted.application.service import Application

from bleepstore.tap import Options, makeService

options = Options()
options.parseOptions([])

application = Application("bleepstore")
makeService(options).setServiceParent(application)

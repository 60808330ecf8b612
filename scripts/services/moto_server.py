"""moto's server, without what it does again for each request or message; the arguments are moto_server's own.

The upload of 1,000 files that a queue hears of took two and a half minutes on a busy machine, and each message received more the
longer the queue was. Nothing of what is left out is what a test could see. CLICKCAST_MOTO_LOG=1 logs requests.
"""

import logging
import os
import sys
import time

from moto import backends
from moto.server import main
from moto.sqs import models

# Another moto may do it in another way: then this is to be looked at again.
assert callable(models.unix_time_millis)
assert callable(models.SQSBackend.is_message_valid_based_on_retention_period)

# Each message of a queue is asked whether it is visible whenever one is sent, by a clock of calendar dates.
models.unix_time_millis = lambda: time.time() * 1000
# All attributes of a queue, its counts of messages among them, are made for each message received. None is kept for days.
models.SQSBackend.is_message_valid_based_on_retention_period = lambda *_: True
# The folder of moto's modules is listed for each request.
MODULES = list(backends.list_of_moto_modules())
backends.list_of_moto_modules = lambda: MODULES
# A line for each request is a fifth of its cost.
if not os.environ.get("CLICKCAST_MOTO_LOG"):
    logging.getLogger("werkzeug").setLevel(logging.WARNING)

sys.exit(main())

"""Text that tries to steer a terminal."""

from __future__ import annotations

import re

STEERS = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")

"""The same examples on every run and machine, and as many time as one needs; CI has no luck, and no flaky test.

`make fuzz` is what looks further (tests/fuzz).
"""

from __future__ import annotations

from hypothesis import HealthCheck, settings

settings.register_profile(
    "crowdpulse",
    derandomize=True,
    deadline=None,
    database=None,
    max_examples=40,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
settings.load_profile("crowdpulse")

"""Ray Tune: where and how candidates are evaluated. The only place that knows of Ray.

Importing it sets Ray's switches, which are read when ray is imported or started.
"""

import os

_SWITCHES = {
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",  # halves Tune's cost per trial
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",  # the user's modules are found from the folder they start in
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",
    "TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "0",
}
for _name, _value in _SWITCHES.items():
    os.environ.setdefault(_name, _value)

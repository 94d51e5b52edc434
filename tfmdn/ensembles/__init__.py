"""Several networks as one: the `ensemble`, its members computed together (`vectorized`), and their `calibration`."""

from tfmdn.ensembles.ensemble import Ensemble as Ensemble

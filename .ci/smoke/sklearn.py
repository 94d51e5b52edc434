"""What the extra `sklearn` promises: MDNRegressor, and what else is fitted by scikit-learn."""

import numpy as np
import tensorflow as tf
from sklearn.mixture import GaussianMixture
from sklearn.model_selection import cross_val_score

import tfmdn

x, y = tfmdn.datasets.inverse_sinusoid().sample(60, seed=0)
regressor = tfmdn.MDNRegressor(max_steps=20, n_estimators=2, random_state=0).fit(x, y)
assert regressor.predict(x).shape == (60,)
assert regressor.predict_interval(x).shape == (60, 2)
regressor.save("regressor.keras")
np.testing.assert_array_equal(tfmdn.MDNRegressor.load("regressor.keras").predict(x), regressor.predict(x))
tfmdn.export_saved_model(regressor.model_, "exported")
tf.saved_model.load("exported").signatures["serving_default"]
assert np.isfinite(cross_val_score(tfmdn.MDNRegressor(max_steps=20, n_estimators=2), x, y, cv=2)).all()

fallback = tfmdn.MarginalFallback()
fallback.adapt(x, y)
assert np.max(fallback.novelty_of(np.array([[1e3]]))) > 0.5
skill = tfmdn.metrics.SkillScore()
skill.adapt(y)
joint = tfmdn.Mixture.from_sklearn(GaussianMixture(2, random_state=0).fit(np.column_stack([x, y])))
assert np.isfinite(joint.condition(0, x[:, 0]).mean()).all()

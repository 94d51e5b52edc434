"""ArviZ: draws as a posterior predictive distribution, and what its plots and checks say of them."""

import numpy as np
import pytest

import tfmdn

az = pytest.importorskip("arviz")
DRAWS = 500


@pytest.fixture
def inference_data(regressor, test):
    draws = regressor.sample(test[0][:200], DRAWS, random_state=0)  # [n, S]
    return az.from_dict(
        posterior_predictive={"y": draws.T[np.newaxis]},  # [chains, S, n]
        observed_data={"y": test[1][:200]},
    )


def test_draws_are_the_mixture_s(inference_data, regressor, test):
    mean, std = regressor.predict(test[0][:200], return_std=True)
    drawn = inference_data.posterior_predictive["y"]
    assert dict(drawn.sizes) == {"chain": 1, "draw": DRAWS, "y_dim_0": 200}
    error = (drawn.mean(["chain", "draw"]) - mean) / std * np.sqrt(DRAWS)
    assert np.std(error) == pytest.approx(1.0, abs=0.15)  # as it is of independent draws


def test_loo_pit_is_the_probability_integral_transform(inference_data, regressor, test):
    x, y = test[0][:200], test[1][:200]
    # Nothing is to be left out of what has not seen these rows: all draws count the same.
    drawn = inference_data.posterior_predictive["y"].stack(__sample__=("chain", "draw"))
    pit = az.loo_pit(y=y, y_hat=drawn.to_numpy(), log_weights=np.full((200, DRAWS), -np.log(DRAWS)))
    exact = tfmdn.probability_integral_transform(y, regressor.predict_dist(x)).numpy()
    assert np.abs(pit - exact).max() < 5.0 * 0.5 / np.sqrt(DRAWS)


def test_plots(inference_data):
    axes = az.plot_ppc(inference_data, num_pp_samples=20, random_seed=0)
    assert np.ravel(axes)[0].lines
    axes = az.plot_bpv(inference_data, kind="u_value")
    assert np.ravel(axes)[0].lines


def test_vectors_keep_their_names(of_two, test):
    draws = of_two.sample(test[0][:20], 100, random_state=0)  # [n, S, d]
    data = az.from_dict(
        posterior_predictive={"y": np.moveaxis(draws, 1, 0)[np.newaxis]},
        coords={"output": ["a", "b"]},
        dims={"y": ["row", "output"]},
    )
    drawn = data.posterior_predictive["y"]
    assert drawn.sel(output="b").shape == (1, 100, 20)
    mean, std = of_two.predict(test[0][:20], return_std=True)
    assert np.abs((drawn.mean(["chain", "draw"]) - mean) / std).max() < 0.5

"""What a training can still reach: curves whose end is known."""

import types

import numpy as np
import pytest

from tfmdn.callbacks import forecast

STEPS = np.arange(1, 401)
# The loss after so many steps of 400: limit + fall * steps^-power, that is how trainings go, and others.
CURVES = {
    "fast": lambda steps: -0.2 + 3.0 * steps**-1.0,
    "slow": lambda steps: 2.4 + 1.5 * steps**-0.3,
    "without a limit in sight": lambda steps: 1.0 - 0.1 * np.log(steps),
    "exponential": lambda steps: 0.5 + 2.0 * np.exp(-steps / 30.0),
    "learnt by heart after a while": lambda steps: 2.0 + 2.0 * steps**-0.7 + 1e-3 * np.maximum(steps - 60, 0.0),
    "level": lambda steps: 1.0 + 0.0 * steps,
}


@pytest.mark.parametrize("done", [60, 100, 200, 400])
@pytest.mark.parametrize("noise", [0.0, 0.01, 0.1])
@pytest.mark.parametrize("name", CURVES)
def test_the_end_is_seldom_lower_than_forecast(name, noise, done):
    curve = CURVES[name](STEPS)
    draws = noise * np.random.default_rng(0).normal(size=(200, len(STEPS)))
    forecasts = [forecast.lowest_to_come(STEPS[:done], (curve + draw)[:done], STEPS[-1]) for draw in draws]
    assert np.mean(np.array(forecasts) <= curve[done - 1 :].min() + 1e-9) > 0.97


@pytest.mark.parametrize(
    ("name", "done", "excess"),
    [("fast", 100, 0.06), ("slow", 100, 0.07), ("slow", 200, 0.02), ("without a limit in sight", 60, 0.02)],
)
def test_the_forecast_is_of_use(name, done, excess):
    curve = CURVES[name](STEPS) + 0.003 * np.random.default_rng(0).normal(size=len(STEPS))
    end = forecast.lowest_to_come(STEPS[:done], curve[:done], STEPS[-1])
    assert curve.min() - excess < end < curve.min() + 0.01


@pytest.mark.parametrize("losses", [[], np.ones(12), [np.nan] * 100, [*np.ones(50), np.inf, *np.ones(20)]])
def test_of_few_losses_nothing_is_said(losses):
    assert forecast.lowest_to_come(np.arange(1, len(losses) + 1), losses, 1_000) == -np.inf


@pytest.mark.parametrize(("target", "first", "last"), [(-5.0, 100, 100), (0.5, 150, 250), (0.65, 400, 400)])
def test_a_training_ends_that_cannot_reach_its_target(target, first, last):
    stopping = forecast.ForecastStopping(target, least=0.25)
    model = types.SimpleNamespace(stop_training=False)
    stopping.set_model(model)
    stopping.set_params({"epochs": 400})
    stopping.on_train_begin()
    for epoch, loss in enumerate(CURVES["exponential"](STEPS) + 0.1):  # 0.6 in the end
        stopping.on_epoch_end(epoch, {"held_out_loss": loss})
        if model.stop_training:
            break
    assert first <= epoch + 1 <= last

"""Toy problems, with the exact distribution of the answer and the best NLL that any model can reach.

- `inverse`: problems with several answers: Ha's, Bishop's, the robot arm, whose angles may be missing.
- `coarse`: problems whose targets are cut off at a limit, rounded or censored.
"""

from tfmdn.datasets.coarse import CensoredWeibull as CensoredWeibull
from tfmdn.datasets.coarse import CoarseNormal as CoarseNormal
from tfmdn.datasets.coarse import censored_weibull as censored_weibull
from tfmdn.datasets.coarse import rounded_normal as rounded_normal
from tfmdn.datasets.coarse import tobit as tobit
from tfmdn.datasets.inverse import InverseProblem as InverseProblem
from tfmdn.datasets.inverse import bishop_inverse as bishop_inverse
from tfmdn.datasets.inverse import inverse_sinusoid as inverse_sinusoid
from tfmdn.datasets.inverse import robot_arm as robot_arm

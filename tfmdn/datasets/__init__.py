"""Toy problems, with the exact distribution of the answer and the best NLL that any model can reach.

- `inverse`: problems with several answers: Ha's, Bishop's, the robot arm.
"""

from tfmdn.datasets.inverse import InverseProblem as InverseProblem
from tfmdn.datasets.inverse import bishop_inverse as bishop_inverse
from tfmdn.datasets.inverse import inverse_sinusoid as inverse_sinusoid
from tfmdn.datasets.inverse import robot_arm as robot_arm

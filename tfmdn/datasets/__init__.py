"""Data: tables in files, and toy problems with the exact distribution of the answer and the best NLL of any model.

- `inverse`: problems with several answers: Ha's, Bishop's, the robot arm, whose angles may be missing.
- `coarse`: problems whose targets are cut off at a limit, rounded or censored.
- `correlated`: problems whose answers are strongly correlated.
- `tables`: `read_table`, for files of any kind, and in `text` for text.
- `dialects`: how a table is written as text; `headers`: which of its lines has the names; `rows`: its lines.
- `values`: what its texts stand for.
"""

from tfmdn.datasets.coarse import CensoredWeibull as CensoredWeibull
from tfmdn.datasets.coarse import CoarseNormal as CoarseNormal
from tfmdn.datasets.coarse import censored_weibull as censored_weibull
from tfmdn.datasets.coarse import rounded_normal as rounded_normal
from tfmdn.datasets.coarse import tobit as tobit
from tfmdn.datasets.correlated import CorrelatedNormals as CorrelatedNormals
from tfmdn.datasets.correlated import correlated_normals as correlated_normals
from tfmdn.datasets.inverse import InverseProblem as InverseProblem
from tfmdn.datasets.inverse import bishop_inverse as bishop_inverse
from tfmdn.datasets.inverse import inverse_sinusoid as inverse_sinusoid
from tfmdn.datasets.inverse import robot_arm as robot_arm
from tfmdn.datasets.tables import read_table as read_table

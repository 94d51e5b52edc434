"""Linear algebra of small matrices in which a row of NaN, or one that is singular, is bad alone.

TensorFlow's own raises for all rows if one matrix has no inverse.

Shapes in comments: B batch, K components, D coordinates.
"""

from __future__ import annotations

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

tfd = tfp.distributions

# Up to this size a matrix is solved by operations on its numbers, which take less time than TensorFlow's of matrices.
SMALL = 6


def solve(matrix: tf.Tensor, vector: tf.Tensor) -> tf.Tensor:
    """x `[..., D]` of matrix x = vector, for a symmetric, positive definite matrix `[..., D, D]`.

    Of what is singular but for rounding errors it is some x, of NaN NaN.
    """
    diagonal = tf.linalg.diag_part(matrix)
    unit = tf.math.rsqrt(diagonal)  # in which the diagonal is 1
    matrix, vector = unit[..., tf.newaxis] * matrix * unit[..., tf.newaxis, :], unit * vector
    smallest = matrix.shape[-1] * np.finfo(matrix.dtype.as_numpy_dtype).eps
    if matrix.shape[-1] is not None and matrix.shape[-1] <= SMALL:
        return unit * _eliminated(matrix, vector, smallest)
    is_sound = tf.reduce_all(tf.math.is_finite(matrix), [-2, -1], keepdims=True)
    identity = tf.eye(tf.shape(matrix)[-1], dtype=matrix.dtype)
    safe = tf.where(is_sound, matrix, identity) + 100.0 * smallest * identity
    solution = tf.linalg.solve(safe, vector[..., tf.newaxis])[..., 0]
    return unit * tf.where(is_sound[..., 0], solution, np.nan)


def _eliminated(matrix: tf.Tensor, vector: tf.Tensor, smallest: float) -> tf.Tensor:
    """The same by Gaussian elimination, with pivots of at least a number."""
    size = matrix.shape[-1]
    rows = [[matrix[..., row, column] for column in range(size)] for row in range(size)]
    right = [vector[..., row] for row in range(size)]
    for pivot in range(size):
        inverse = 1.0 / tf.maximum(rows[pivot][pivot], smallest)
        for row in range(pivot + 1, size):
            factor = rows[pivot][row] * inverse
            right[row] -= factor * right[pivot]
            for column in range(row, size):
                rows[row][column] -= factor * rows[pivot][column]
        right[pivot] *= inverse
        rows[pivot] = [value * inverse for value in rows[pivot]]
    for pivot in reversed(range(size)):
        for column in range(pivot + 1, size):
            right[pivot] -= rows[pivot][column] * right[column]
    return tf.stack(right, -1)


def precision(components: tfd.MultivariateNormalLinearOperator) -> tf.Tensor:
    """The inverses `[*B, K, D, D]` of the covariances."""
    scale = components.scale
    factor = scale.to_dense()
    if not isinstance(scale, (tf.linalg.LinearOperatorLowerTriangular, tf.linalg.LinearOperatorDiag)):
        factor = tf.linalg.matrix_transpose(tf.linalg.qr(tf.linalg.matrix_transpose(factor)).r)  # a triangular one
    diagonal = tf.linalg.diag_part(factor)
    is_sound = tf.reduce_all(tf.math.is_finite(factor), [-2, -1]) & tf.reduce_all(diagonal != 0.0, -1)
    is_sound = is_sound[..., tf.newaxis, tf.newaxis]
    identity = tf.eye(tf.shape(factor)[-1], dtype=factor.dtype)
    inverse = tf.linalg.triangular_solve(tf.where(is_sound, factor, identity), tf.where(is_sound, identity, np.nan))
    return tf.matmul(inverse, inverse, transpose_a=True)

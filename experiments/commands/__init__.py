"""The commands of `efsim`, one file each; `experiments/cli.py` gathers them.

Their imports are inside them: `efsim --help` must not wait for JAX.
"""

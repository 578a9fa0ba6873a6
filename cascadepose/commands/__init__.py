"""The commands of the command line, one file each: `declare(commands)` declares it, its `run` carries it out.

They import what they need when they run, so that help answers at once.
"""

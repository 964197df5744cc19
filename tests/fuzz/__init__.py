"""Hostile input from a generator, for as long as it is given: `python -m tests.fuzz --minutes 60`.

targets.py    what is tried, and what must hold of it whatever the input
images.py, tables.py, studies.py    the inputs
inside.py     one target for a while, in a process of its own: a crash or a hang ends that process and no other
__main__.py   one after the other until the time is up; a finding is saved, with the seed that makes it again
"""

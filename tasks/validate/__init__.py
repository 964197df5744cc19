"""The flow `validate`: a study's credits held against models retrained from scratch.

worlds    the study made in other ways: retrained, unpruned, with more steps
methods   credits by every method that is compared
judge     all of it put together (the mathematics is `tasks.validation`)
page      for people; `storage` for machines
"""

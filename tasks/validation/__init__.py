"""The proof: are the credits right? Figures that compare them with models retrained from scratch and with baselines.

A plain library on numpy, scipy and pandas (torch only to project gradients that are its tensors). Like `tasks/shapley` it
knows coalitions as bool[m, n] over contributors and values as float64[m], signed so that more is better.

    which coalitions are retrained   coalitions, counterfactual
    what is compared                 baselines, gradients (with projection), papers_estimator, surrogate (with trees)
    how it is judged                 fidelity, lds (with replicates), exact; correlation for the intervals

Whatever has one row an image comes with the images' digests and is matched with `ownership` before it is used.
"""

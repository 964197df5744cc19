"""Step 6: evaluations to credits. The mathematics is in `tasks.shapley`; here it meets the study."""

from tasks.estimate.results import Noise, TooManyFailures, measure_noise, property_results

__all__ = ["Noise", "TooManyFailures", "measure_noise", "property_results"]

"""Step 6: evaluations to credits. The mathematics is in `tasks.shapley`; here it meets the study."""

from tasks.estimate.noise import Noise, measure_noise
from tasks.estimate.results import TooManyFailures, property_results

__all__ = ["Noise", "TooManyFailures", "measure_noise", "property_results"]

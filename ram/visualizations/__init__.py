"""Pictures of what the network sees and does."""

from ram.visualizations.architecture import draw_glimpse_network  # noqa: F401
from ram.visualizations.architecture import draw_gradients  # noqa: F401
from ram.visualizations.architecture import draw_sensor  # noqa: F401
from ram.visualizations.architecture import draw_unrolled  # noqa: F401
from ram.visualizations.paths import draw_whole_paths  # noqa: F401
from ram.visualizations.policy import draw_accuracy  # noqa: F401
from ram.visualizations.policy import draw_confusion  # noqa: F401
from ram.visualizations.policy import draw_first_locations  # noqa: F401
from ram.visualizations.policy import draw_heat_maps  # noqa: F401
from ram.visualizations.policy import draw_paths  # noqa: F401
from ram.visualizations.policy import draw_saccades  # noqa: F401
from ram.visualizations.preview import draw_preview  # noqa: F401
from ram.visualizations.preview import save_preview  # noqa: F401
from ram.visualizations.report import save_inspection  # noqa: F401
from ram.visualizations.trajectories import draw_probabilities  # noqa: F401
from ram.visualizations.trajectories import draw_retina  # noqa: F401
from ram.visualizations.trajectories import draw_scene  # noqa: F401
from ram.visualizations.trajectories import draw_trajectory  # noqa: F401
from ram.visualizations.trajectories import draw_verdict  # noqa: F401
from ram.visualizations.trajectories import patch_boxes  # noqa: F401
from ram.visualizations.trajectories import save_trajectories  # noqa: F401
from ram.visualizations.trajectories import Trajectory  # noqa: F401
from ram.visualizations.trajectories import verdict  # noqa: F401

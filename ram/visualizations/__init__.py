"""Pictures of what the network sees and does."""

from ram.visualizations.architecture import (
    draw_glimpse_network,
    draw_gradients,
    draw_sensor,
    draw_unrolled,
)
from ram.visualizations.paths import draw_whole_paths
from ram.visualizations.policy import (
    draw_accuracy,
    draw_confusion,
    draw_first_locations,
    draw_heat_maps,
    draw_paths,
    draw_saccades,
)
from ram.visualizations.preview import (
    draw_preview,
    save_preview,
)
from ram.visualizations.report import save_inspection
from ram.visualizations.trajectories import (
    Trajectory,
    draw_probabilities,
    draw_retina,
    draw_scene,
    draw_trajectory,
    draw_verdict,
    patch_boxes,
    save_trajectories,
    verdict,
)

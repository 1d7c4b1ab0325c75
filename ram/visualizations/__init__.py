"""Pictures of what the network sees and does."""

from ram.visualizations.preview import draw_preview, save_preview
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

"""Pictures of what the network sees and does."""

from ram.visualizations.preview import save_preview
from ram.visualizations.report import save_inspection
from ram.visualizations.trajectories import draw_trajectory, save_trajectories

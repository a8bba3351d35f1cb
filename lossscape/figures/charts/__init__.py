"""Plain data of the figures that move: what report/charts.js draws, one module for each type of chart."""

"""What the recipes share: configuration, data, model, metrics and fit."""

"""Where a training should land: raw, averaged and cooled weights of one held training, on many data sets."""

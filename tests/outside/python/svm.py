"""Linear SVMs on two stages of the network that this project ships, and records that `transfer table` reads."""

import transfer

records = transfer.svm(
    "eccv16-photographs",
    "sample",
    "sample",
    stages=["conv4", "conv5"],
    image_size=72,
    crop_size=64,
    costs=[0.1],
    out="results/svm",
)
print({(record.stage, record.metric): record.value for record in records})

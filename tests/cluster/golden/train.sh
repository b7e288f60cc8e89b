#!/bin/bash

# Parameters
#SBATCH --account=vision
#SBATCH --array=0-1%1
#SBATCH --constraint=a100
#SBATCH --cpus-per-task=6
#SBATCH --dependency=afterok:42
#SBATCH --gpus-per-node=8
#SBATCH --job-name='pretext train'
#SBATCH --kill-on-invalid-dep=yes
#SBATCH --mem=205312MB
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=8
#SBATCH --open-mode=append
#SBATCH --output=/home/runs/job/submitit/%A_%a_0_log.out
#SBATCH --partition=gpu
#SBATCH --qos=long
#SBATCH --requeue
#SBATCH --signal=USR2@120
#SBATCH --time=240
#SBATCH --wckey=submitit

# setup
module load cuda
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-6}
export PYTHONPATH=/home/runs/job/code${PYTHONPATH:+:$PYTHONPATH}
export PYTHONSAFEPATH=1

# command
export SUBMITIT_EXECUTOR=slurm
srun --unbuffered --output /home/runs/job/submitit/%A_%a_%t_log.out --kill-on-bad-exit=1 --cpus-per-task=6 --container-image=image.sqsh PYTHON -u -m submitit.core._submit /home/runs/job/submitit

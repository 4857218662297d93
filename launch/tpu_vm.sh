#!/usr/bin/env bash
# Trains on a slice of Cloud TPU VMs and continues after preemption. Each worker runs the image of launch/Dockerfile.
#
#   export PROJECT=my-project ZONE=europe-west4-b ACCELERATOR=v5litepod-16
#   export IMAGE=europe-west4-docker.pkg.dev/my-project/vidjax/vidjax:tpu   # built with EXTRA=tpu and pushed
#   export SHARE=10.0.0.2:/vidjax                       # NFS (Filestore) in the slice's network, with data/ and runs/
#   bash launch/tpu_vm.sh train NAME --config configs/quickstart.py --workdir runs/NAME [--config.key=value]
#
#   bash launch/tpu_vm.sh create NAME     requests the slice and waits for it     \
#   bash launch/tpu_vm.sh setup NAME      mounts SHARE, pulls IMAGE on all workers } train does both first
#   bash launch/tpu_vm.sh stop NAME       the run saves and stops; the same `train` continues it
#   bash launch/tpu_vm.sh delete NAME     until then, the slice costs money
#   bash launch/tpu_vm.sh --dry-run ...   prints the commands without running them
#
# Set TIER=on-demand instead of spot if your quota allows it. The run does not need this script: after a lost connection
# or Ctrl-C, the same `train` follows the run again. The image holds the configs it was built with. The script uses
# queued resources, because a preempted Spot slice cannot restart and must be requested again:
# https://cloud.google.com/tpu/docs/spot and .../queued-resources; containers: .../run-in-container. The Cloud TPU API
# ends with v6e; later TPUs need Compute Engine or Kubernetes (launch/gke_tpu.yaml).
set -euo pipefail
cd "$(dirname "$0")/.."

die() {
  echo "tpu_vm.sh: $*" >&2
  exit 1
}

# ------------------------------------------------------------------------------------------------- arguments
dry_run=
[[ ${1-} != --dry-run ]] || { dry_run=yes && shift; }
command=${1-} name=${2-}
case $command in
  create | setup | train | stop | delete) ;;
  *) die "unknown command '$command'; choose create, setup, train, stop or delete. See the head of this file." ;;
esac
[[ $name =~ ^[a-z]([-a-z0-9]{0,61}[a-z0-9])?$ ]] ||
  die "'$name' is not a slice name; use small letters, digits and -, a letter first, at most 63 characters."
shift 2

needed=(PROJECT ZONE)
[[ $command != create && $command != train ]] || needed+=(ACCELERATOR)
[[ $command != setup && $command != train ]] || needed+=(IMAGE SHARE)
for variable in "${needed[@]}"; do
  [[ -n ${!variable-} ]] || die "$command needs the variable $variable: export ${needed[*]/%/=...}"
done
case ${TIER=spot} in
  spot) tier=(--spot) ;;
  on-demand) tier=() ;;
  *) die "TIER=$TIER: choose spot or on-demand." ;;
esac
case ${ACCELERATOR-} in # https://cloud.google.com/tpu/docs/runtimes
  v6e-*) runtime=v2-alpha-tpuv6e ;;
  v5p-*) runtime=v2-alpha-tpuv5 ;;
  v5litepod-*) runtime=v2-alpha-tpuv5-lite ;;
  v[234]-* | "") runtime=tpu-ubuntu2204-base ;;
  *) die "ACCELERATOR=$ACCELERATOR is unknown; choose one like v2-8, v3-32, v4-32, v5litepod-16, v5p-32 or v6e-16." ;;
esac
[[ -z ${SHARE-} || $SHARE == ?*:/?* ]] || die "SHARE=$SHARE must be an address and a path, like 10.0.0.2:/vidjax."

config='' workdir='' before=''
[[ $command == train || $# == 0 ]] || die "$command takes no arguments after the name; remove: $*"
for argument in "$@"; do
  case $argument in --config=* | --workdir=*) before=${argument%%=*} argument=${argument#*=} ;; esac
  case $before in --config) config=$argument ;; --workdir) workdir=$argument ;; esac
  before=$argument
done
if [[ $command == train ]]; then
  [[ $config == configs/* && -f ${config%%:*} ]] ||
    die "train needs --config with a file of configs/, like configs/quickstart.py, not '$config'."
  case $workdir in
    runs/?* | /mnt/vidjax/?*) ;;
    *) die "train needs --workdir runs/NAME, on SHARE, not '$workdir': other files do not outlive the slice." ;;
  esac
fi

# ------------------------------------------------------------------------------------------------- gcloud
queued=(gcloud compute tpus queued-resources)
vm=(gcloud compute tpus tpu-vm)
where=(--project="$PROJECT" --zone="$ZONE")

run() {
  if [[ -n $dry_run ]]; then
    local line
    line=$(printf '%q ' "$@")
    echo "${line% }"
  else
    "$@"
  fi
}

# Like `run`, with up to four retries half a minute apart: a run of days must survive network errors
patiently() {
  for _ in 1 2 3 4; do
    run "$@" && return
    sleep 30
  done
  run "$@"
}

# Runs a shell command on all workers. After a lost connection (status 255) gcloud runs the same command again, up to
# ten times, so the command must be safe to repeat
on_workers() {
  run "${vm[@]}" ssh "$name" "${where[@]}" --worker=all --ssh-flag=-oServerAliveInterval=30 \
    --ssh-flag=-oConnectTimeout=30 --command="$1"
}

# Sets $state to the state of the queued resource, empty for none; a dry run assumes that it is ready at once
supposed=""
ask_state() {
  state=$(patiently "${queued[@]}" list "${where[@]}" --filter="name~/$name\$" --format="value(state.state)") ||
    die "gcloud did not return the state of $name."
  [[ -z $dry_run ]] || { echo "$state" && state=$supposed supposed=ACTIVE; }
}

# ------------------------------------------------------------------------------------------------- commands
create() {
  while ask_state && [[ $state != ACTIVE ]]; do
    echo "# Slice $name: ${state:-none yet}"
    case $state in
      "") run "${queued[@]}" create "$name" --node-id="$name" "${where[@]}" --accelerator-type="$ACCELERATOR" \
        --runtime-version="$runtime" "${tier[@]}" ;;
      SUSPENDED) delete ;; # preempted: it cannot restart
      FAILED) die "the request failed; see ${queued[*]} describe $name ${where[*]}. Then delete $name." ;;
      *) sleep 30 ;;
    esac
  done
}

delete() {
  patiently "${queued[@]}" delete "$name" "${where[@]}" --force --quiet
}

setup() {
  local registry=${IMAGE%%/*} login=:
  [[ $registry != *.pkg.dev && $registry != *gcr.io ]] || login="sudo gcloud auth configure-docker $registry --quiet"
  # apt waits for its lock: a new machine may still install updates
  on_workers "set -e
    if ! mountpoint -q /mnt/vidjax; then
      sudo mkdir -p /mnt/vidjax
      sudo apt-get -o DPkg::Lock::Timeout=300 update -qq
      sudo apt-get -o DPkg::Lock::Timeout=300 install -qq nfs-common
      sudo mount -t nfs ${SHARE@Q} /mnt/vidjax
    fi
    $login
    sudo docker pull --quiet ${IMAGE@Q}"
}

# Starts the run unless one is running
start() {
  # As root, who can open TPUs and is the same user on all workers. docker stop waits up to 600 s for the run to save
  on_workers "set -e
    running=\$(sudo docker container inspect --format '{{.State.Running}}' vidjax 2>/dev/null || true)
    if [ \"\$running\" = true ]; then echo 'A run is already in progress here.'; exit; fi
    [ -z \"\$running\" ] || sudo docker rm vidjax >/dev/null
    sudo docker run --detach --name vidjax --privileged --net=host --user root --stop-timeout 600 \
      --volume /mnt/vidjax:/mnt/vidjax --env VIDJAX_FIND_PEERS=1 --env JAX_COMPILATION_CACHE_DIR=runs/compiled \
      ${IMAGE@Q} vidjax.train ${*@Q}"
}

# Shows the output of the run until it ends; returns its exit status
follow() {
  on_workers "sudo docker logs --follow --tail 100 vidjax; exit \$(sudo docker wait vidjax)"
}

# Whether the slice was preempted. The state lags by a moment, and a worker under maintenance comes back
is_lost() {
  local found
  while sleep 60; do
    found=$(patiently "${vm[@]}" list "${where[@]}" --filter="name~/$name\$" --format="value(state)") ||
      die "gcloud did not return the state of $name."
    case $found in
      READY) return 1 ;;
      "" | PREEMPTED | TERMINATED) return 0 ;;
    esac
    echo "# Slice $name: $found"
  done
}

train() {
  local status following
  while true; do
    create
    status=0 following=''
    { setup && start "$@" && following=yes && follow; } || status=$?
    [[ -z $dry_run ]] || return 0
    if ((status == 0)); then
      echo "# Done. The slice still costs money; delete it: bash launch/tpu_vm.sh delete $name"
      return
    fi
    echo "# Status $status; checking whether the slice still exists"
    if is_lost; then
      echo "# Slice $name was preempted; the run continues in a new one."
      delete
    elif ((status == 75)); then
      echo "# The run saved and stopped on request. The same command continues it."
      exit 75
    elif [[ $status != 255 || -z $following ]]; then # otherwise the connection was lost, and the run continues
      die "the run or its setup ended with status $status; the slice still exists. The output is above."
    fi
  done
}

stop() {
  on_workers "sudo docker stop vidjax"
}

"$command" "$@"

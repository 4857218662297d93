"""The launchers without their services: a `gcloud` that plays the cloud, manifests and the Dockerfile as files."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from vidjax.training import distributed, interrupts

ROOT = Path(__file__).parent.parent
SETTINGS = {
    "PROJECT": "my-project",
    "ZONE": "europe-west4-b",
    "ACCELERATOR": "v5litepod-16",
    "IMAGE": "europe-west4-docker.pkg.dev/my-project/vidjax/vidjax:tpu",
    "SHARE": "10.0.0.2:/vidjax",
}
TRAIN = ["train", "my-run", "--config", "configs/quickstart.py", "--workdir", "runs/my-run"]

# Keeps the states of the queued resource and of its machine in files, and writes down how it was called (`calls`) and
# to what end (`verbs`). Each line of `outcomes` says how a run that is followed ends: with a status, or preempted, of
# which the queued resource may not know yet.
GCLOUD = """#!/bin/bash
cd "$(dirname "$0")"
line=$(printf '%q ' gcloud "$@")
echo "${line% }" >>calls
case "$3 $4" in
  "queued-resources list") cat queued || exit 1; [[ $(<queued) != WAITING* ]] || echo ACTIVE >queued ;;
  "queued-resources create") echo create >>verbs; echo WAITING_FOR_RESOURCES >queued; echo READY >machine ;;
  "queued-resources delete") echo delete >>verbs; : >queued; : >machine ;;
  "tpu-vm list") cat machine ;;
  "tpu-vm ssh")
    case "$*" in
      *mountpoint*) echo setup >>verbs; exit $(cat setup) ;;
      *"docker run"*) echo start >>verbs ;;
      *"docker stop"*) echo stop >>verbs ;;
      *"docker logs"*)
        echo follow >>verbs
        outcome=$(head -n 1 outcomes)
        sed -i 1d outcomes
        case $outcome in
          preempted) echo SUSPENDED >queued; echo PREEMPTED >machine; exit 255 ;;
          half-known) echo PREEMPTED >machine; exit 1 ;;
        esac
        exit "$outcome" ;;
    esac ;;
  *) exit 2 ;;
esac
"""


class Cloud:
    """A directory of programs that stand before all others on the PATH."""

    def __init__(self, directory: Path):
        self.directory = directory
        self.program("gcloud", GCLOUD)
        self.program("sleep", "#!/bin/sh\n")
        self.set("queued", "")
        self.set("machine", "")
        self.set("setup", "0")
        self.set("outcomes", "0")

    def program(self, name: str, text: str):
        (self.directory / name).write_text(text)
        (self.directory / name).chmod(0o755)

    def set(self, name: str, text: str):
        (self.directory / name).write_text(text)

    def run(self, *command, check=True, **changed) -> subprocess.CompletedProcess:
        environment = {k: v for k, v in os.environ.items() if k not in (*SETTINGS, "TIER")} | SETTINGS | changed
        environment["PATH"] = f"{self.directory}:{environment['PATH']}"
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
        assert not check or done.returncode == 0, done.stderr
        return done

    def tpu_vm(self, *arguments, **keywords) -> subprocess.CompletedProcess:
        return self.run("bash", str(ROOT / "launch/tpu_vm.sh"), *arguments, **keywords)

    def lines(self, name: str) -> list[str]:
        path = self.directory / name
        return path.read_text().splitlines() if path.exists() else []

    def calls(self) -> list[str]:
        """The commands that were run, as one would type them."""
        return self.lines("calls")

    def verbs(self) -> list[str]:
        """What they did, a word each, but for asking."""
        return self.lines("verbs")


@pytest.fixture
def cloud(tmp_path) -> Cloud:
    return Cloud(tmp_path)


# ------------------------------------------------------------------------------------------------- tpu_vm.sh


def test_a_dry_run_prints_what_a_run_does_and_does_none_of_it(cloud):
    printed = cloud.tpu_vm("--dry-run", *TRAIN).stdout.splitlines()
    assert not cloud.calls()
    cloud.tpu_vm(*TRAIN)
    commands = [line for line in printed if not line.startswith("#")]
    repeated = cloud.calls()[0]  # the real request had to wait once, and was asked for once more
    assert cloud.calls() == [*commands[:2], repeated, *commands[2:]] and commands[2] == repeated
    assert cloud.verbs() == ["create", "setup", "start", "follow"]
    request = "queued-resources create my-run --node-id=my-run --project=my-project --zone=europe-west4-b"
    request += " --accelerator-type=v5litepod-16 --runtime-version=v2-alpha-tpuv5-lite --spot"
    assert commands[1] == f"gcloud compute tpus {request}"


@pytest.mark.parametrize(
    ("arguments", "last"),
    [
        (["create", "a"], "create a --node-id=a "),
        (["setup", "a"], "ssh a .*mountpoint.*docker pull"),
        (["stop", "a"], "ssh a .*docker.* stop"),
        (["delete", "a"], "delete a .*--force"),
    ],
)
def test_the_other_commands_do_one_thing(cloud, arguments, last):
    cloud.set("queued", "ACTIVE" if arguments[0] != "create" else "")
    cloud.tpu_vm(*arguments)
    acting = [call for call in cloud.calls() if " list " not in call]
    assert len(acting) == 1 and re.search(last, acting[0])


@pytest.mark.parametrize(
    ("accelerator", "runtime"),
    [("v6e-16", "v2-alpha-tpuv6e"), ("v5p-32", "v2-alpha-tpuv5"), ("v4-32", "tpu-ubuntu2204-base")],
)
def test_each_accelerator_has_its_software(cloud, accelerator, runtime):
    cloud.tpu_vm("create", "a", ACCELERATOR=accelerator, TIER="on-demand")
    assert f"--runtime-version={runtime}" in cloud.calls()[1] and "--spot" not in cloud.calls()[1]


@pytest.mark.parametrize("outcome", ["preempted", "half-known"])
def test_a_run_goes_on_in_a_new_slice_after_preemption(cloud, outcome):
    cloud.set("outcomes", f"{outcome}\n0\n")
    done = cloud.tpu_vm(*TRAIN)
    once = ["create", "setup", "start", "follow"]
    assert cloud.verbs() == [*once, "delete", *once]
    assert "was preempted" in done.stdout and "still costs money" in done.stdout
    starts = [call for call in cloud.calls() if "docker run" in call]
    assert len(starts) == 2 and starts[0] == starts[1]  # the same work directory


def test_a_slice_that_was_preempted_before_is_requested_anew(cloud):
    cloud.set("queued", "SUSPENDED")
    cloud.tpu_vm(*TRAIN)
    assert cloud.verbs() == ["delete", "create", "setup", "start", "follow"]


def test_a_slice_that_is_there_is_used(cloud):
    cloud.set("queued", "ACTIVE")
    cloud.tpu_vm(*TRAIN)
    assert cloud.verbs() == ["setup", "start", "follow"]


def test_a_lost_connection_is_taken_up_again(cloud):
    cloud.set("outcomes", "255\n0\n")
    cloud.tpu_vm(*TRAIN)
    once = ["setup", "start", "follow"]
    assert cloud.verbs() == ["create", *once, *once]


def test_a_run_that_was_asked_to_stop_stops(cloud):
    cloud.set("outcomes", str(interrupts.INTERRUPTED))
    done = cloud.tpu_vm(*TRAIN, check=False)
    assert done.returncode == interrupts.INTERRUPTED and "saved and stopped" in done.stdout
    assert cloud.verbs()[-1] == "follow"


def test_a_run_that_fails_by_itself_is_not_repeated(cloud):
    cloud.set("outcomes", "1\n0\n")
    done = cloud.tpu_vm(*TRAIN, check=False)
    assert done.returncode == 1 and "ended with status 1; the slice still exists" in done.stderr
    assert cloud.verbs() == ["create", "setup", "start", "follow"]


@pytest.mark.parametrize("status", ["100", "255"])
def test_workers_that_cannot_be_set_up_end_it(cloud, status):
    cloud.set("setup", status)
    done = cloud.tpu_vm(*TRAIN, check=False)
    assert done.returncode == 1 and f"ended with status {status}" in done.stderr
    assert cloud.verbs() == ["create", "setup"]


def test_a_request_that_failed_is_told_of(cloud):
    cloud.set("queued", "FAILED")
    done = cloud.tpu_vm(*TRAIN, check=False)
    assert done.returncode == 1 and "queued-resources describe my-run" in done.stderr and not cloud.verbs()


def test_nothing_is_requested_or_deleted_where_the_state_is_not_known(cloud):
    (cloud.directory / "queued").unlink()
    done = cloud.tpu_vm(*TRAIN, check=False)
    assert done.returncode == 1 and "did not return the state" in done.stderr
    assert len(cloud.calls()) == 5 and not cloud.verbs()  # it was asked five times


def on_a_worker(cloud, which: str, **keywords):
    """Runs a command that a dry run would run on all workers here, as bash there does."""
    printed = cloud.tpu_vm("--dry-run", *keywords.pop("train", TRAIN)).stdout
    [line] = [line for line in printed.splitlines() if which.replace(" ", "\\ ") in line or which in line]
    sent = cloud.run("bash", "-c", f"printf '%s' {line.partition('--ssh-flag=-oConnectTimeout=30 ')[2]}").stdout
    return cloud.run("bash", "-c", sent.removeprefix("--command="), **keywords)


@pytest.fixture
def worker(cloud) -> Cloud:
    cloud.program("sudo", '#!/bin/sh\nexec "$@"\n')
    inspect = f'if [ "$1" = container ]; then cat {cloud.directory}/running; exit; fi\n'
    cloud.program("docker", f"#!/bin/sh\n{inspect}printf '%s\\n' \"$@\" >>{cloud.directory}/docker.calls\n")
    return cloud


def test_arguments_reach_the_container_as_they_were_given(worker):
    odd = ["--config.dataset=data/it's mine", '--config.freeze=("backbone/.*",)', "--config.x=$HOME `id` \\ *", "a\nb"]
    on_a_worker(worker, "docker run", train=[*TRAIN, *odd])
    words = (worker.directory / "docker.calls").read_text().removesuffix("\n").split("\n")
    found = words[words.index("vidjax.train") + 1 :]
    assert found == [*TRAIN[2:], *odd[:-1], "a", "b"]
    assert words[:3] == ["run", "--detach", "--name"] and SETTINGS["IMAGE"] in words
    environment = dict(words[i + 1].split("=") for i, word in enumerate(words) if word == "--env")
    assert distributed.arguments_from(environment) == {}  # JAX itself finds the workers


@pytest.mark.parametrize(("running", "expected"), [("true", []), ("false", ["rm", "run"])])
def test_a_run_is_started_once(worker, running, expected):
    worker.set("running", running)
    on_a_worker(worker, "docker run")
    assert [word for word in worker.lines("docker.calls") if word in ("rm", "run")] == expected


def test_the_status_of_a_run_is_that_of_its_container(worker):
    worker.program("docker", "#!/bin/sh\n[ $1 != wait ] || echo 75\n")
    assert on_a_worker(worker, "docker logs", check=False).returncode == 75


@pytest.mark.parametrize(
    ("arguments", "changed", "message"),
    [
        ([], {}, "unknown command ''; choose create, setup, train, stop or delete"),
        (["--dry-run"], {}, "unknown command ''"),
        (["launch", "a"], {}, "unknown command 'launch'"),
        (["create"], {}, "'' is not a slice name"),
        (["create", "My Run;id"], {}, "'My Run;id' is not a slice name"),
        (["create", "a" * 64], {}, "at most 63 characters"),
        (["create", "a", "b"], {}, "takes no arguments after the name; remove: b"),
        (["create", "a"], {"ZONE": ""}, "needs the variable ZONE"),
        (["delete", "a"], {"PROJECT": ""}, "needs the variable PROJECT"),
        (["setup", "a"], {"SHARE": "10.0.0.2"}, "must be an address and a path"),
        (TRAIN, {"IMAGE": ""}, "needs the variable IMAGE"),
        (TRAIN, {"ACCELERATOR": "h100"}, "choose one like v2-8"),
        (TRAIN, {"TIER": "free"}, "choose spot or on-demand"),
        (TRAIN[:2], {}, "train needs --config"),
        ([*TRAIN[:3], "configs/none.py", *TRAIN[4:]], {}, "not 'configs/none.py'"),
        ([*TRAIN[:3], "/etc/passwd", *TRAIN[4:]], {}, "not '/etc/passwd'"),
        (TRAIN[:4], {}, "train needs --workdir runs/NAME"),
        ([*TRAIN[:4], "--workdir=gs://bucket/run"], {}, "not 'gs://bucket/run'"),
    ],
)
def test_invalid_arguments_are_refused_before_any_call(cloud, arguments, changed, message):
    done = cloud.tpu_vm(*arguments, check=False, **changed)
    assert done.returncode == 1 and message in done.stderr
    assert not cloud.calls()


@pytest.mark.skipif(not shutil.which("shellcheck"), reason="shellcheck is not installed")
def test_shellcheck():
    scripts = [ROOT / "launch" / name for name in ("tpu_vm.sh", "setup.sh", "extras.sh", "slurm.sbatch")]
    done = subprocess.run(["shellcheck", *scripts], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


# ------------------------------------------------------------------------------------------------- Kubernetes


def job_of(name: str) -> tuple[dict, dict, dict]:
    """The JobSet of a manifest, the one job in it, and the one container of its pods."""
    jobset = yaml.safe_load((ROOT / "launch" / name).read_text())
    assert (jobset["apiVersion"], jobset["kind"]) == ("jobset.x-k8s.io/v1alpha2", "JobSet")
    [replicated] = jobset["spec"]["replicatedJobs"]
    job = replicated["template"]["spec"]
    [container] = job["template"]["spec"]["containers"]
    return jobset, job, container


@pytest.mark.parametrize("name", ["gke_gpu.yaml", "gke_tpu.yaml"])
def test_a_jobset_trains_restarts_and_keeps_what_it_writes(name):
    jobset, job, container = job_of(name)
    assert job["parallelism"] == job["completions"] and job["backoffLimit"] == 0
    assert job["template"]["spec"]["restartPolicy"] == "Never"  # which podFailurePolicy asks for
    # Interrupted by others, it starts again however often; failures of its own are counted
    [rule] = jobset["spec"]["failurePolicy"]["rules"]
    assert rule["action"] == "RestartJobSetAndIgnoreMaxRestarts" and rule["onJobFailureReasons"] == ["PodFailurePolicy"]
    of_pods, of_status = job["podFailurePolicy"]["rules"]
    assert of_pods["onPodConditions"][0]["type"] == "DisruptionTarget"
    assert of_status["onExitCodes"]["values"] == [interrupts.INTERRUPTED]
    assert of_status["onExitCodes"]["containerName"] == container["name"]
    # The work directory is on the volume
    module, config, path, workdir, directory = container["args"]
    assert (module, config, workdir) == ("vidjax.train", "--config", "--workdir")
    assert (ROOT / path).exists() and directory.startswith("runs/")
    claim = yaml.safe_load((ROOT / "launch/gke_volume.yaml").read_text())
    assert claim["kind"] == "PersistentVolumeClaim" and claim["spec"]["accessModes"] == ["ReadWriteMany"]
    volumes = {volume["name"]: volume for volume in job["template"]["spec"]["volumes"]}
    mounts = {mount["mountPath"]: volumes[mount["name"]] for mount in container["volumeMounts"]}
    assert mounts["/mnt/vidjax"]["persistentVolumeClaim"]["claimName"] == claim["metadata"]["name"]


def test_gpu_pods_know_who_they_are():
    jobset, job, container = job_of("gke_gpu.yaml")
    [replicated] = jobset["spec"]["replicatedJobs"]
    assert jobset["spec"]["coordinator"]["replicatedJob"] == replicated["name"]  # else there is no such annotation
    annotations = {  # as JobSet and the Job controller set them, on the last pod
        "jobset.sigs.k8s.io/coordinator": "vidjax-gpu-workers-0-0.vidjax-gpu",
        "batch.kubernetes.io/job-completion-index": str(job["completions"] - 1),
    }
    environment = {}
    for entry in container["env"]:
        if "value" in entry:
            value = re.sub(r"\$\((\w+)\)", lambda found: environment[found[1]], entry["value"])  # of those before
        else:
            field = entry["valueFrom"]["fieldRef"]["fieldPath"]
            value = annotations[re.fullmatch(r"metadata\.annotations\['(.*)'\]", field)[1]]
        environment[entry["name"]] = value
    assert environment["VIDJAX_WAIT_FOR_PEERS"].isdecimal()
    assert distributed.arguments_from(environment) == {
        "coordinator_address": "vidjax-gpu-workers-0-0.vidjax-gpu:1234",
        "num_processes": job["completions"],
        "process_id": job["completions"] - 1,
        "cluster_detection_method": "deactivate",
    }


def test_tpu_pods_are_as_many_as_their_slice_has_hosts():
    _, job, container = job_of("gke_tpu.yaml")
    rows, columns = job["template"]["spec"]["nodeSelector"]["cloud.google.com/gke-tpu-topology"].split("x")
    assert int(rows) * int(columns) == job["completions"] * container["resources"]["limits"]["google.com/tpu"]


# ------------------------------------------------------------------------------------------------- Dockerfile


def test_the_dockerfile_copies_what_is_there_and_the_context_has_it():
    text = (ROOT / "launch/Dockerfile").read_text()
    copied = [name for line in re.findall(r"^COPY (.*)$", text, re.M) for name in line.split()[:-1]]
    assert "vidjax" in copied and "configs" in copied
    assert [name for name in copied if not (ROOT / name).exists()] == []
    ignored = (ROOT / "launch/Dockerfile.dockerignore").read_text().splitlines()
    assert sorted(line[1:] for line in ignored if line.startswith("!")) == sorted(copied) and "*" in ignored


def test_the_image_trains_as_a_user_without_rights():
    lines = (ROOT / "launch/Dockerfile").read_text().splitlines()
    starts = [i for i, line in enumerate(lines) if line.startswith("USER ")]
    assert len(starts) == 1 and lines[starts[0]] == "USER 1000"
    assert [line.split()[0] for line in lines[starts[0] + 1 :] if not line.startswith("#")] == ["ENTRYPOINT", "CMD"]


def test_the_entry_point_runs_a_module_with_its_arguments(tmp_path):
    [line] = re.findall(r"^ENTRYPOINT (.*)$", (ROOT / "launch/Dockerfile").read_text(), re.M)
    command = [word.replace("/mnt/vidjax", str(tmp_path / "volume")) for word in yaml.safe_load(line)]
    cloud = Cloud(tmp_path)
    cloud.program("python", "#!/bin/sh\nprintf '%s|' \"$@\"\n")
    assert cloud.run(*command, "vidjax.train", "--workdir", "runs/two words").stdout == (
        "-m|vidjax.train|--workdir|runs/two words|"
    )
    assert sorted(path.name for path in (tmp_path / "volume").iterdir()) == ["data", "runs"]


@pytest.mark.parametrize("extra", ["", "cuda", "tpu"])
def test_the_build_argument_is_an_extra(extra, tmp_path):
    [line] = re.findall(r'(?<=root-user-action=ignore )".*?"', (ROOT / "launch/Dockerfile").read_text())
    asked = subprocess.run(["sh", "-c", f"EXTRA={extra}; echo {line}"], capture_output=True, text=True).stdout.strip()
    assert asked == (f".[{extra}]" if extra else ".")
    assert not extra or f"\n{extra} = [" in (ROOT / "pyproject.toml").read_text()

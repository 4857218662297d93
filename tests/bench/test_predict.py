import pytest

from vidjax.bench import predict


def test_a_checkpoint_and_its_export_are_timed(exported_run, tiny_run, monkeypatch):
    started = []
    monkeypatch.setattr(predict, "start_of", lambda arguments: started.append(arguments) or 1000.0 * len(started))
    video = str(tiny_run.videos["test"][0])
    result = predict.bench_predict(video, tiny_run.workdir, [exported_run], rounds=2)
    assert [arguments[1] for arguments in started] == ["--workdir", "--exported"] * 2
    assert result["checkpoint, start"] == {"median": 2000.0, "min": 1000.0, "max": 3000.0, "runs": 2}
    format = exported_run.name
    assert result[f"checkpoint / {format}, start"]["median"] == pytest.approx(2 / 3)
    assert result[f"{format}, a clip"]["min"] > 0 and result[f"{format} MiB"] > 0


def test_one_of_each_format(exported_run, tiny_run):
    video = str(tiny_run.videos["test"][0])
    with pytest.raises(ValueError, match=f"is a second {exported_run.name} export"):
        predict.bench_predict(video, tiny_run.workdir, [exported_run, exported_run], rounds=1)


def test_the_whole_command_is_timed(tiny_run):
    arguments = [str(tiny_run.videos["test"][0]), "--workdir", str(tiny_run.workdir)]
    assert predict.start_of(arguments) > 100
    with pytest.raises(ValueError, match="vidjax.predict nowhere.mp4 .* failed: .*nowhere.mp4"):
        predict.start_of(["nowhere.mp4", *arguments[1:]])

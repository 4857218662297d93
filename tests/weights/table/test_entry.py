from vidjax.weights.table import entry


def test_classes_of_kinetics600_are_sorted():
    assert len(entry.KINETICS600) == 600 and list(entry.KINETICS600) == sorted(entry.KINETICS600)
    assert "yoga" in entry.KINETICS600


def test_a_file_of_torchvision_names_its_network_and_its_checksum():
    found = entry.torchvision("alexnet-owt-7be5be79.pth", None, "Krizhevsky", entry.IMAGENET, entry.IMAGES)
    assert found.model == {"name": "alexnet"} and len(found.labels) == 1000
    assert found.files[0].digest == "sha256:7be5be79"

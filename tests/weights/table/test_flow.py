from vidjax.models import FLOW_NETWORKS
from vidjax.weights.table.flow import FLOW, FLOW_FILES


def test_each_network_of_flow_has_weights_by_name_or_by_file():
    assert {entry.model["name"] for entry in (*FLOW.values(), *FLOW_FILES.values())} == set(FLOW_NETWORKS)
    assert all(entry.files for entry in FLOW.values()) and not any(entry.files for entry in FLOW_FILES.values())


def test_networks_of_flow_see_pairs_and_have_no_classes():
    for entry in (*FLOW.values(), *FLOW_FILES.values()):
        assert entry.clip["num_frames"] == 2 and not entry.labels

"""Event files as TensorBoard's own reader has them."""

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator


def values(folder):
    """The scalars and the texts of a folder by tag, each a list of pairs of step and value."""
    events = EventAccumulator(folder, size_guidance={"scalars": 0, "tensors": 0})
    events.Reload()
    tags = events.Tags()
    texts = {
        tag: [[each.step, each.tensor_proto.string_val[0].decode()] for each in events.Tensors(tag)]
        for tag in tags["tensors"]
        if events.SummaryMetadata(tag).plugin_data.plugin_name == "text"
    }
    scalars = {tag: [[each.step, each.value] for each in events.Scalars(tag)] for tag in tags["scalars"]}
    return {"scalars": scalars, "texts": texts}

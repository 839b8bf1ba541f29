"""From hits to the broker: the outbox and what empties it.

How an agent uses it:

    address = Address(root="edge-reid", site="lab", agent="gate-1")
    origin = EventOrigin(address, camera="gate", model_id=model_id, gallery_version=7)
    facts = AgentFacts(model_id, gallery_version=7, started_utc_s=time.time())
    broker = Broker.from_settings(settings.mqtt)       # ConfigError: a file cannot be read
    with (
        Outbox(path, max_bytes=..., max_age_s=...) as outbox,     # OutboxError: in use, not ours
        Publisher(MqttTransport(broker), outbox, address, facts) as publisher,
    ):
        state = publisher.wait_settled(2.0)            # state.link, state.reason: warn at once
        publisher.show(camera_status_message(address, "gate", CameraReport("running"), now))
        publisher.publish(Event(hit, origin))          # seq, or None: the disk would not take it
        waiting = publisher.flush(settings.mqtt.flush_timeout_s)
        # waiting > 0: "N events wait in outbox.db: <publisher.state.reason>"
    # leaving the block says `offline`; after kill -9 the broker says it, by the last will

An events file numbers its own lines: `event_line(Event(hit, origin).payload(n))`, n from 1.
"""

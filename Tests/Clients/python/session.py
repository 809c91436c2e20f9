"""session.py SCENARIO PORT [DIRECTORY]: one scenario of redis-py; ends with status 0 if everything was as it should be.

The directory has the certificates for TLS. A scenario that needs the server restarted prints "restart" and goes on when the server has been away.
"""
import socket
import ssl
import sys
import threading
import time

import redis


def session(port):
    r = redis.Redis(port=port, db=3, client_name="py-session", decode_responses=True)
    assert r.ping()
    assert r.client_getname() == "py-session"
    (me,) = [c for c in r.client_list() if c["name"] == "py-session"]
    assert me["db"] == "3" and int(me["id"]) == r.client_id(), me
    assert r.set("k", "v", ex=100) and r.set("k", "w", nx=True) is None
    assert r.set("k", "w", xx=True, keepttl=True, get=True) == "v"
    assert 95 < r.ttl("k") <= 100
    assert r.getex("k", persist=True) == "w" and r.ttl("k") == -1
    assert r.mset({"a": 1, "b": 2.5}) and r.mget("a", "none", "b") == ["1", None, "2.5"]
    assert r.msetnx({"a": 1, "c": 1}) is False and not r.exists("c")
    assert r.incr("a", 41) == 42 and r.decr("a") == 41
    assert r.incrbyfloat("b", 0.1) == 2.6
    assert r.append("k", "xyz") == 4 and r.getrange("k", 1, 2) == "xy" and r.setrange("k", 6, "!") == 7
    assert r.get("k") == "wxyz\0\0!"
    assert r.object("encoding", "a") == "int"
    assert r.rename("a", "z") and r.copy("z", "y") and r.move("y", 4) and r.dbsize() == 3
    assert r.info()["redis_version"][0].isdigit() and "db3" in r.info("keyspace")
    assert r.config_set("timeout", 3600) and r.config_get("time*")["timeout"] == "3600" and r.config_set("timeout", 0)
    assert r.command_count() > 100 and r.command()["get"]["arity"] == 2
    assert abs(r.time()[0] - time.time()) < 5
    try:
        r.incr("k")
        raise AssertionError("INCR of a text must fail")
    except redis.ResponseError as e:
        assert str(e) == "value is not an integer or out of range"
    other = redis.Redis(port=port, client_name="victim")
    other.ping()
    victim = other.client_id()
    assert r.client_kill_filter(_id=victim) == 1
    assert other.ping() and other.client_id() != victim  # redis-py connects again by itself


def cluster(port):
    from redis.cluster import RedisCluster

    r = RedisCluster(host="127.0.0.1", port=port, decode_responses=True)
    for i in range(500):
        assert r.set(f"k:{i}", i)
    assert [r.get(f"k:{i}") for i in range(500)] == [str(i) for i in range(500)]
    assert r.mset_nonatomic({"a": 1, "b": 2}) and r.mget_nonatomic("a", "b") == ["1", "2"]
    assert r.mget("{t}1", "{t}2") == [None, None]
    try:
        r.execute_command("MGET", "a", "b")
        raise AssertionError("keys of two slots")
    except redis.exceptions.RedisClusterException as e:
        assert "slot" in str(e), e
    with r.pipeline() as p:
        assert p.set("{t}1", "1").incr("{t}1").get("{t}1").execute() == [True, 2, "2"]
    assert r.eval("return redis.call('get', KEYS[1])", 1, "{t}1") == "2"
    assert r.cluster_info()["cluster_state"] == "ok" and r.cluster_keyslot("foo") == 12182
    assert len(r.cluster_slots()) == 1 and r.get_default_node().port == port
    (node,) = r.cluster_nodes().values()
    assert node["connected"] and node["slots"] == [["0", "16383"]], node
    assert r.dbsize() == len(set(r.scan_iter()))


def newer(port):
    """Commands newer than this client, in its own words."""
    r = redis.Redis(port=port, decode_responses=True, client_name="py-newer")
    r.delete("stream", "places")
    ids = [r.xadd("stream", {"n": i}) for i in range(4)]
    r.xgroup_create("stream", "g", id="0")
    r.xgroup_create("stream", "h", id="0")
    r.xreadgroup("g", "me", {"stream": ">"})
    assert r.execute_command("XACKDEL", "stream", "g", "ACKED", "IDS", 2, *ids[:2]) == [2, 2]
    r.xreadgroup("h", "me", {"stream": ">"}, noack=True)
    assert r.execute_command("XDELEX", "stream", "ACKED", "IDS", 3, *ids[:3]) == [1, 1, 2]
    assert r.execute_command("XDELEX", "stream", "DELREF", "IDS", 2, ids[2], "1-1") == [1, -1]
    assert r.execute_command("XTRIM", "stream", "MAXLEN", 0, "ACKED") == 0
    assert r.xpending("stream", "g")["pending"] == 1 and r.xlen("stream") == 1
    r.geoadd("places", (13.361389, 38.115556, "Palermo", 15.087269, 37.502669, "Catania"))
    triangle = ("BYPOLYGON", 3, 12.5, 38, 14, 38.5, 14, 37.9)
    as_is = dict.fromkeys(("store", "store_dist", "withdist", "withcoord", "withhash"), False)
    assert r.execute_command("GEOSEARCH", "places", *triangle, **as_is) == ["Palermo"]
    (me,) = [c for c in r.client_list(client_id=[str(r.client_id())])]
    assert int(me["tot-net-in"]) > 0 and int(me["tot-net-out"]) > 0 and int(me["tot-cmds"]) > 10, me
    assert [c["name"] for c in r.execute_command("CLIENT LIST", "NAME", "py-newer", "NOT-DB", 1)] == ["py-newer"]
    try:
        r.scan(0, _type="nothing")
        raise AssertionError("SCAN of an unknown type must fail")
    except redis.ResponseError as e:
        assert str(e) == "unknown type name 'nothing'"


def tls(port, directory):
    own = {"ssl_certfile": f"{directory}/client.crt", "ssl_keyfile": f"{directory}/client.key"}
    r = redis.Redis("localhost", port, ssl=True, ssl_ca_certs=f"{directory}/ca.crt", ssl_check_hostname=True, **own)
    big = bytes(range(256)) * 20_000
    assert r.set("big", big) and r.get("big") == big
    with r.pipeline(transaction=False) as pipe:
        for i in range(5000):
            pipe.set(f"k:{i}", i).incr(f"k:{i}")
        assert pipe.execute() == [True if i % 2 == 0 else i // 2 + 1 for i in range(10_000)]
    try:
        redis.Redis("localhost", port, ssl=True, ssl_ca_certs=f"{directory}/ca.crt").ping()
        raise AssertionError("a client without a certificate must be turned away")
    except redis.ConnectionError:
        pass
    # Who comes back resumes the session, with either version of TLS.
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        context = ssl.create_default_context(cafile=f"{directory}/ca.crt")
        context.load_cert_chain(f"{directory}/client.crt", f"{directory}/client.key")
        context.minimum_version = context.maximum_version = version
        session = None
        for visit in range(3):
            plain = socket.create_connection(("localhost", port))
            with context.wrap_socket(plain, server_hostname="localhost", session=session) as connection:
                connection.sendall(b"PING\r\n")
                assert connection.recv(7) == b"+PONG\r\n"
                assert connection.session_reused == (visit > 0), (version, visit)
                session = connection.session
                # It says goodbye, and is told the same before the connection ends.
                connection.unwrap().close()


def pipeline(port):
    r = redis.Redis(port=port)
    with r.pipeline(transaction=False) as pipe:
        for i in range(10_000):
            pipe.set(f"k:{i}", i).expire(f"k:{i}", 1000)
        assert all(pipe.execute())
    with r.pipeline(transaction=False) as pipe:
        replies = pipe.set("s", "text").incr("s").get("s").execute(raise_on_error=False)
    assert replies[0] is True and isinstance(replies[1], redis.ResponseError) and replies[2] == b"text"
    assert r.dbsize() == 10_001


def binary_and_big(port):
    r = redis.Redis(port=port)
    key = bytes(range(256))
    big = key * 40_960  # 10 MB
    assert r.set(key, big) and r.get(key) == big and r.strlen(key) == len(big)
    assert r.keys() == [key] and list(r.scan_iter()) == [key]
    assert r.getdel(key) == big and r.dbsize() == 0


def scan(port):
    r = redis.Redis(port=port, decode_responses=True)
    with r.pipeline(transaction=False) as pipe:
        for i in range(5000):
            pipe.set(f"key:{i}", i)
        pipe.execute()
    # Every key that is there from beginning to end is seen, whatever else comes and goes.
    seen = set()
    for n, key in enumerate(r.scan_iter(match="key:*", count=50, _type="string")):
        seen.add(key)
        if n % 10 == 0:
            r.set(f"new:{n}", n)
    assert seen >= {f"key:{i}" for i in range(5000)}


def threads(port):
    r = redis.Redis(port=port)

    def count():
        for _ in range(500):
            r.incr("counter")

    workers = [threading.Thread(target=count) for _ in range(20)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert r.get("counter") == b"10000"


def restart(port):
    r = redis.Redis(port=port, db=2, client_name="py-restart")
    first = r.info("server")["run_id"]
    print("restart", flush=True)
    deadline = time.monotonic() + 30
    while True:
        assert time.monotonic() < deadline
        try:
            if r.info("server")["run_id"] != first:
                break
        except redis.ConnectionError:
            time.sleep(0.05)
    assert r.set("after", 2) and r.client_getname() == "py-restart" and r.client_info()["db"] == 2


def transaction(port):
    r = redis.Redis(port=port)
    assert r.pipeline().set("a", 1).incr("a").execute() == [True, 2]

    def swap(pipe):
        value = int(pipe.get("a"))
        if value < 5:
            r.incr("a")  # someone else's write: the transaction has to try again
        pipe.multi()
        pipe.set("a", value * 10)

    assert r.transaction(swap, "a") == [True] and r.get("a") == b"50"


def locks(port):
    r = redis.Redis(port=port)
    with r.lock("resource", timeout=5):
        assert not r.lock("resource", timeout=5).acquire(blocking=False)
    assert r.lock("resource", timeout=5).acquire(blocking=False)


def lock_of_many(port):
    """Threads that add to a sum, which only the lock makes whole."""
    r = redis.Redis(port=port)
    r.set("sum", 0)

    def add():
        for _ in range(25):
            with r.lock("adding", timeout=60, sleep=0.001):
                r.set("sum", int(r.get("sum")) + 1)

    workers = [threading.Thread(target=add) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert r.get("sum") == b"100" and not r.exists("adding")

    # A lock that has been lost can be neither released, extended nor taken again.
    lock = r.lock("lost", timeout=60)
    assert lock.acquire() and lock.owned() and lock.locked()
    assert lock.extend(60) and 100 < r.ttl("lost") <= 120
    assert lock.reacquire() and 50 < r.ttl("lost") <= 60
    r.set("lost", "another's")
    for use in (lock.release, lambda: lock.extend(1), lock.reacquire):
        lock.local.token = lock.local.token or b"mine"
        try:
            use()
            raise AssertionError("the lock is another's")
        except redis.exceptions.LockNotOwnedError:
            pass
    assert r.get("lost") == b"another's"
    # Who waits gets it when it expires.
    r.set("lost", "another's", px=50)
    assert r.lock("lost", timeout=60, blocking_timeout=30).acquire()


def streams(port):
    r = redis.Redis(port=port, decode_responses=True)
    ids = [r.xadd("events", {"n": i}, id=f"{i + 1}-0") for i in range(10)]
    assert r.xlen("events") == 10 and [i for i, _ in r.xrange("events", min="3-0", max="5-0")] == ids[2:5]
    assert [i for i, _ in r.xrevrange("events", count=2)] == [ids[9], ids[8]]
    assert r.xgroup_create("events", "g", id="0") and r.xgroup_create("other", "g", mkstream=True)
    try:
        r.xgroup_create("events", "g")
        raise AssertionError("the group is there already")
    except redis.ResponseError as e:
        assert str(e) == "BUSYGROUP Consumer Group name already exists" or str(e) == "Consumer Group name already exists", e
    ((stream, entries),) = r.xreadgroup("g", "alice", {"events": ">", "other": ">"}, count=4)
    assert stream == "events" and [i for i, _ in entries] == ids[:4] and entries[0][1] == {"n": "0"}
    ((_, entries),) = r.xreadgroup("g", "bob", {"events": ">"}, count=3)
    assert r.xack("events", "g", *ids[:2]) == 2
    pending = r.xpending("events", "g")
    assert pending["pending"] == 5 and {c["name"]: c["pending"] for c in pending["consumers"]} == {"alice": 2, "bob": 3}
    assert [p["message_id"] for p in r.xpending_range("events", "g", "-", "+", 10, consumername="alice")] == ids[2:4]
    # Bob takes over what Alice has left undone.
    assert [i for i, _ in r.xclaim("events", "g", "bob", 0, [ids[2]])] == [ids[2]]
    assert r.xautoclaim("events", "g", "bob", 0, justid=True)[:5] == ids[2:7]
    assert r.xgroup_delconsumer("events", "g", "alice") == 0
    (group,) = r.xinfo_groups("events")
    assert group["name"] == "g" and group["pending"] == 5 and group["last-delivered-id"] == ids[6]
    (consumer,) = r.xinfo_consumers("events", "g")
    assert consumer["name"] == "bob" and consumer["pending"] == 5
    info = r.xinfo_stream("events")
    assert info["length"] == 10 and info["first-entry"][0] == ids[0] and info["last-generated-id"] == ids[9]
    assert r.xtrim("events", maxlen=4, approximate=False) == 6 and r.xdel("events", ids[9]) == 1 and r.xlen("events") == 3
    assert r.xgroup_setid("events", "g", "0") and len(r.xreadgroup("g", "bob", {"events": ">"})[0][1]) == 3
    assert r.xgroup_destroy("events", "g") == 1


def blocking_reads(port):
    """Three workers of one group share what others add; each entry goes to one of them."""
    r = redis.Redis(port=port, decode_responses=True)
    r.xgroup_create("jobs", "g", id="$", mkstream=True)
    seen, lock = [], threading.Lock()

    def work(name):
        mine = redis.Redis(port=port, decode_responses=True)
        while True:
            for _, entries in mine.xreadgroup("g", name, {"jobs": ">"}, count=5, block=60_000):
                for entry, fields in entries:
                    if fields["n"] == "stop":
                        mine.xack("jobs", "g", entry)
                        return
                    with lock:
                        seen.append(int(fields["n"]))
                    mine.xack("jobs", "g", entry)

    # Of a batch with more than one "stop" the others would be lost, so each comes when the last has been taken.
    workers = [threading.Thread(target=work, args=(f"w{i}",)) for i in range(3)]
    for worker in workers:
        worker.start()
    for n in range(300):
        r.xadd("jobs", {"n": n})
    for left in (2, 1, 0):
        r.xadd("jobs", {"n": "stop"})
        while sum(worker.is_alive() for worker in workers) > left:
            time.sleep(0.005)
    assert sorted(seen) == list(range(300)) and r.xpending("jobs", "g")["pending"] == 0
    # Without a group, everybody gets everything.
    begin = r.xadd("news", {"n": 0})
    got = []
    reader = threading.Thread(target=lambda: got.extend(redis.Redis(port=port).xread({"news": begin}, block=60_000)))
    reader.start()
    r.xadd("news", {"n": 1})
    reader.join()
    assert got[0][1][0][1] == {b"n": b"1"}


def next_message(subscriber):
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        message = subscriber.get_message(timeout=1)
        if message:
            return message["type"], message["channel"], message["data"]
    raise AssertionError("no message came")


def pubsub(port):
    r = redis.Redis(port=port, decode_responses=True)
    subscriber = r.pubsub()
    subscriber.subscribe("news", "other")
    subscriber.psubscribe("n?ws")
    assert next_message(subscriber) == ("subscribe", "news", 1)
    assert next_message(subscriber) == ("subscribe", "other", 2)
    assert next_message(subscriber) == ("psubscribe", "n?ws", 3)
    assert r.publish("news", "one") == 2 and r.pubsub_numsub("news", "none") == [("news", 1), ("none", 0)]
    assert {next_message(subscriber), next_message(subscriber)} == {("message", "news", "one"), ("pmessage", "news", "one")}
    subscriber.ping("still there")
    assert next_message(subscriber)[0] == "pong"
    subscriber.unsubscribe("news")
    assert next_message(subscriber) == ("unsubscribe", "news", 2)
    assert sorted(r.pubsub_channels()) == ["other"] and r.pubsub_numpat() == 1
    # A thread of the client's own hears of a key that has expired.
    r.config_set("notify-keyspace-events", "Ex")
    heard = threading.Event()
    listener = r.pubsub()
    listener.subscribe(**{"__keyevent@0__:expired": lambda message: message["data"] == "short" and heard.set()})
    worker = listener.run_in_thread(sleep_time=0.01)
    r.set("short", "lived", px=10)
    assert heard.wait(60)
    worker.stop()
    worker.join()
    r.config_set("notify-keyspace-events", "")


def caching(port):
    """This client has no cache of its own: tracking as a client of RESP2 uses it, with a second connection."""
    r = redis.Redis(port=port, decode_responses=True, single_connection_client=True)
    other = redis.Redis(port=port, decode_responses=True)
    listener = redis.Redis(port=port, decode_responses=True).pubsub()
    listener.execute_command("CLIENT", "ID")
    target = listener.parse_response()
    listener.subscribe("__redis__:invalidate")
    assert next_message(listener)[0] == "subscribe"
    assert r.execute_command("CLIENT", "TRACKING", "ON", "REDIRECT", target) == b"OK" or r.client_getredir() == target
    other.set("k", 1)
    assert r.get("k") == "1" and r.client_getredir() == target
    other.set("k", 2)
    assert next_message(listener) == ("message", "__redis__:invalidate", ["k"])
    assert r.get("k") == "2"
    other.flushall()
    assert next_message(listener)[2] is None


if __name__ == "__main__":
    globals()[sys.argv[1]](int(sys.argv[2]), *sys.argv[3:])

using OrleansRedis.Engine;
using Xunit;

namespace OrleansRedis.Tests;

public sealed class ConfigCommandTests : IDisposable
{
    private readonly string _directory = Directory.CreateTempSubdirectory("orleansredis-test-").FullName;
    private readonly EngineHarness _redis = new();

    public void Dispose()
    {
        _redis.Dispose();
        Directory.Delete(_directory, recursive: true);
    }

    [Fact]
    public void Get_takes_names_and_patterns_and_shows_each_once()
    {
        Assert.Equal("[port, 6379]", _redis.Show("CONFIG GET port"));
        Assert.Equal("[MaxClients, 10000]", _redis.Show("CONFIG GET MaxClients"));
        Assert.Equal("[tcp-backlog, 511, tcp-keepalive, 300, timeout, 0]", _redis.Show("CONFIG GET tcp-* nosuch timeout TCP-BACK*"));
        Assert.Equal("[]", _redis.Show("CONFIG GET nosuch"));
        Assert.Equal("[client-output-buffer-limit, normal 0 0 0 slave 268435456 67108864 60 pubsub 33554432 8388608 60]",
            _redis.Show("CONFIG GET client-output*"));
        Assert.Equal("{bind: * -::*}", Replies.Show(_redis.NewClient(resp3: true).Run("CONFIG", "GET", "bind")));
    }

    [Fact]
    public void Set_changes_several_at_once()
    {
        Assert.Equal("OK", _redis.Show("CONFIG SET timeout 7 MAXCLIENTS 99 client-query-buffer-limit 2mb"));
        Assert.Equal((7, 99, 2L << 20), (_redis.Store.Options.Timeout, _redis.Store.Options.MaxClients, _redis.Store.Options.ClientQueryBufferLimit));
        Assert.Equal("OK", Replies.Show(_redis.Run("CONFIG", "SET", "client-output-buffer-limit", "normal 1mb 0 0")));
        Assert.Equal(new OutputLimit(1 << 20, 0, 0), _redis.Store.Options.ClientOutputBufferLimits.Normal);
        Assert.Equal(OutputBufferLimits.Default.PubSub, _redis.Store.Options.ClientOutputBufferLimits.PubSub);
    }

    [Theory]
    [InlineData("CONFIG SET timeout 7 nosuch 1", "-ERR Unknown option or number of arguments for CONFIG SET - 'nosuch'")]
    [InlineData("CONFIG SET timeout 7 maxclients 0",
        "-ERR CONFIG SET failed (possibly related to argument 'maxclients') - argument must be between 1 and 4294967295 inclusive")]
    [InlineData("CONFIG SET timeout 7 timeout 8", "-ERR CONFIG SET failed (possibly related to argument 'timeout') - duplicate parameter")]
    [InlineData("CONFIG SET timeout 7 databases 8", "-ERR CONFIG SET failed (possibly related to argument 'databases') - can't set immutable config")]
    [InlineData("CONFIG SET timeout 7 dir /tmp", "-ERR CONFIG SET failed (possibly related to argument 'dir') - can't set protected config")]
    [InlineData("CONFIG SET timeout 7 hz", "-ERR wrong number of arguments for 'config|set' command")]
    public void A_set_that_fails_changes_nothing(string line, string error)
    {
        Assert.Equal(error, _redis.Show(line));
        Assert.Equal(0, _redis.Store.Options.Timeout);
    }

    [Fact]
    public void What_loading_depends_on_cannot_be_changed_meanwhile()
    {
        _redis.Store.Restrict(Restrictions.Loading);
        Assert.Equal("-LOADING Redis is loading the dataset in memory", _redis.Show("CONFIG SET timeout 7 appendonly yes"));
        Assert.Equal("OK", _redis.Show("CONFIG SET loglevel debug"));
        _redis.Store.Lift(Restrictions.Loading);
        Assert.Equal(0, _redis.Store.Options.Timeout);
    }

    [Fact]
    public void Protected_directives_open_to_whom_enable_protected_configs_says()
    {
        _redis.Store.Options.EnableProtectedConfigs = LocalAccess.Local;
        Assert.StartsWith("-ERR CONFIG SET failed", Replies.Show(_redis.Run("CONFIG", "SET", "dir", _directory)));
        _redis.Client.Session.IsLocal = true;
        Assert.Equal("OK", _redis.Run("CONFIG", "SET", "dir", _directory));
        Assert.Equal(_directory, _redis.Store.Options.Dir);
    }

    [Fact]
    public void A_change_that_cannot_take_effect_is_taken_back_with_all_others()
    {
        var portsSeen = new List<int>();
        _redis.Files.Configuration.OnChange(["port", "bind"], async () =>
        {
            await Task.Yield();
            portsSeen.Add(_redis.Store.Options.Port);
            return _redis.Store.Options.Port == 80 ? "Unable to listen on this port" : null;
        });
        Assert.Equal("-ERR CONFIG SET failed (possibly related to argument 'port') - Unable to listen on this port",
            _redis.Show("CONFIG SET timeout 7 port 80"));
        Assert.Equal((0, 6379), (_redis.Store.Options.Timeout, _redis.Store.Options.Port));
        Assert.Equal("OK", _redis.Show("CONFIG SET timeout 7 port 81"));
        Assert.Equal("OK", _redis.Show("CONFIG SET timeout 8"));
        Assert.Equal([80, 6379, 81], portsSeen);
    }

    [Fact]
    public void Resetstat_makes_counters_begin_anew()
    {
        SlotTable slots = _redis.Store.Slots;
        _redis.Show("GET missing");
        _redis.Show("GET missing");
        Assert.Equal((0L, 2L), slots.CountLookups());
        bool told = false;
        _redis.Store.StatisticsReset += () => told = true;
        Assert.Equal("OK", _redis.Show("CONFIG RESETSTAT"));
        Assert.Equal((0L, 0L), slots.CountLookups());
        Assert.True(told);
        _redis.Show("GET missing");
        Assert.Equal((0L, 1L), slots.CountLookups());
        slots.Withdraw(slots[KeySlot.Of("missing"u8)]!);
        Assert.Equal((0L, 1L), slots.CountLookups());
    }

    [Fact]
    public void Rewrite_keeps_comments_and_order_and_appends_what_is_new()
    {
        string path = Path.Combine(_directory, "redis.conf");
        File.WriteAllText(path,
            """
            # My server.
            port 7000

            # two of them, the second counts
            timeout 1
            timeout 2
            include /dev/null
            client-output-buffer-limit pubsub 1mb 0 0
            requirepass "se cret"

            """);
        ServerConfiguration configuration = ServerConfiguration.Load([path, "--hz", "20"]);
        configuration.Options.Timeout = 3;
        Assert.Null(configuration.Rewrite());
        Assert.Equal(
            """
            # My server.
            port 7000

            # two of them, the second counts
            timeout 3
            include /dev/null
            client-output-buffer-limit normal 0 0 0
            requirepass "se cret"

            # Generated by CONFIG REWRITE
            client-output-buffer-limit replica 256mb 64mb 60
            client-output-buffer-limit pubsub 1mb 0 0
            hz 20

            """, File.ReadAllText(path));
        Assert.Equal([path], Directory.GetFiles(_directory));

        ServerOptions again = ServerConfiguration.Load([path]).Options;
        Assert.All(Directive.All,
            directive => Assert.Equal(directive.Kind.Format(directive.Get(configuration.Options)), directive.Kind.Format(directive.Get(again))));
        string once = File.ReadAllText(path);
        Assert.Null(ServerConfiguration.Load([path]).Rewrite());
        Assert.Equal(once, File.ReadAllText(path));
    }

    [Fact]
    public void Rewrite_without_a_file_says_so() =>
        Assert.Equal("-ERR The server is running without a config file", _redis.Show("CONFIG REWRITE"));

    [Fact]
    public void Every_value_that_config_get_shows_can_be_given_back()
    {
        foreach (Directive directive in Directive.All.Where(directive => !directive.Declaration.IsFileOnly))
        {
            string shown = directive.Kind.Format(directive.Get(_redis.Store.Options));
            string[] words = directive.Kind.TakesSeveralWords ? shown.Split(' ') : [shown];
            Assert.True(directive.Kind.TryParse(words, directive.Get(_redis.Store.Options), out object? value, out string? error),
                $"{directive.Name} {shown}: {error}");
            Assert.True(directive.Kind.AreEqual(value, directive.Get(_redis.Store.Options)), directive.Name);
        }
    }
}

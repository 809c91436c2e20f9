using System.Text;
using OrleansRedis.Engine;
using OrleansRedis.Tests.Harness;
using Xunit;
using Request = OrleansRedis.Engine.Request;

namespace OrleansRedis.Tests.Acl;

/// <summary>What the rules allow and deny, however a command comes.</summary>
public sealed class AclEnforcementTests : IDisposable
{
    private readonly EngineHarness _redis = new();

    public void Dispose() => _redis.Dispose();

    private const string NoKey = "-NOPERM No permissions to access a key", NoChannel = "-NOPERM No permissions to access a channel";

    private static readonly CommandTable s_all = new(
        typeof(Store).Assembly, typeof(OrleansRedis.Gateway.RedisServer).Assembly, typeof(AclEnforcementTests).Assembly);

    [Theory]
    [InlineData("+get ~a*", "GET a1", true)]
    [InlineData("+get ~a*", "gEt a1", true)]
    [InlineData("+get ~a*", "GET b1", false)]
    [InlineData("+get ~a*", "SET a1 x", false)]
    [InlineData("+@all -get ~*", "get a", false)]
    [InlineData("+@read %R~a*", "GET a", true)]
    [InlineData("+@all %R~a*", "SET a 1", false)]
    [InlineData("+@all %W~a*", "SET a 1", true)]
    [InlineData("+@all %W~a*", "SET a 1 GET", false)]
    [InlineData("+@all %W~a*", "SET a 1 IFEQ x", false)]
    [InlineData("+@all %W~a*", "BITFIELD a SET u8 0 1", false)]
    [InlineData("+@all %R~a*", "BITFIELD a GET u8 0", true)]
    [InlineData("+@all %R~a*", "BITFIELD a GET u8 0 incrby u8 0 1", false)]
    [InlineData("+@all %R~a*", "BITFIELD a OVERFLOW SAT GET u8 0 GET u8 incrby", true)]
    [InlineData("+@all %R~a*", "BITFIELD a u8 0", false)]
    [InlineData("+@all %W~a*", "DELEX a", true)]
    [InlineData("+@all %W~a*", "DELEX a IFEQ x", false)]
    [InlineData("+@all %R~from %W~to", "COPY from to", true)]
    [InlineData("+@all %R~from %W~to", "COPY to from", false)]
    [InlineData("+@all ~from", "RENAME from to", false)]
    [InlineData("+@all ~from", "RENAMENX from to", false)]
    [InlineData("+@all ~from", "LMOVE from to LEFT LEFT", false)]
    [InlineData("+@all ~a ~b", "MGET a b", true)]
    [InlineData("+@all ~a ~b", "MGET a b c", false)]
    [InlineData("+@all ~a ~b", "MSET a c b d", true)]
    [InlineData("+@all ~a ~b", "MSET a c c d", false)]
    [InlineData("+@all ~a", "ZUNIONSTORE a 2 a b", false)]
    [InlineData("+@all ~a", "ZUNIONSTORE b 1 a", false)]
    [InlineData("+@all ~a", "PFMERGE b", false)]
    [InlineData("+@all ~a", "SINTERCARD 2 a b", false)]
    [InlineData("+@all ~a", "XREAD STREAMS a b 0 0", false)]
    [InlineData("+@all ~a", "XREADGROUP GROUP a a STREAMS b >", false)]
    [InlineData("+@all ~STREAMS", "XREADGROUP COUNT 1 GROUP g STREAMS STREAMS {STREAMS}b >", false)]
    [InlineData("+@all ~b", "XREADGROUP COUNT 1 GROUP g STREAMS STREAMS b >", true)]
    [InlineData("+@all ~a", "GEORADIUS a 0 0 1 m STORE b", false)]
    [InlineData("+@all ~a ~STORE", "GEORADIUS a 0 0 1 m STOREDIST STORE STORE {STORE}b", false)]
    [InlineData("+@all ~a", "GEORADIUS a 0 0 1 m STOREDIST b", false)]
    [InlineData("+@all ~a", "GEORADIUS a 0 0 1 m store a", true)]
    [InlineData("+@all ~a", "GEOSEARCHSTORE b a FROMLONLAT 0 0 BYRADIUS 1 m", false)]
    [InlineData("+@all ~a", "SORT a", true)]
    [InlineData("+@all ~a", "SORT a STORE b", false)]
    [InlineData("+@all %R~a %W~asc", "SORT a STORE b BY STORE asc", false)]
    [InlineData("+@all ~a", "SORT a STORE b STORE a", true)]
    [InlineData("+@all ~a", "OBJECT ENCODING b", false)]
    [InlineData("+@all ~a", "object encoding b", false)]
    [InlineData("+@all ~a", "MEMORY USAGE b", false)]
    [InlineData("+@all ~a", "DUMP b", false)]
    [InlineData("+@all ~a", "WATCH b", false)]
    [InlineData("+@all %R~a", "EXISTS a", true)]
    [InlineData("+@all %W~a", "EXISTS a", true)]
    [InlineData("+@all %W~a", "STRLEN a", true)]
    [InlineData("+@all %W~a", "TYPE a", true)]
    [InlineData("+@all", "EXISTS a", false)]
    [InlineData("+@all %RW~", "SET a 1", false)]
    [InlineData("+@all %RW", "GET a", false)]
    [InlineData("+@all (%R)", "GET a", false)]
    [InlineData("+@all ~a*", "GET ", false)]
    [InlineData("+@all %R~*", "DBSIZE", true)]
    [InlineData("+config|get ~*", "CONFIG GET port", true)]
    [InlineData("+config|get ~*", "config set timeout 1", false)]
    [InlineData("+config -config|set ~*", "CONFIG GET port", true)]
    [InlineData("+config -config|set ~*", "CONFIG sEt timeout 1", false)]
    [InlineData("+select|1", "SELECT 1", true)]
    [InlineData("+select|1", "SELECT 0", false)]
    [InlineData("+select -select", "SELECT 0", false)]
    [InlineData("(+get ~a) (+set ~b)", "GET a", true)]
    [InlineData("(+get ~a) (+set ~b)", "SET b 1", true)]
    [InlineData("(+get ~a) (+set ~b)", "GET b", false)]
    [InlineData("(+@all %R~a) (+@all %W~b)", "COPY a b", false)]
    public void A_request_is_allowed_or_not(string rules, string line, bool allowed)
    {
        EngineClient client = Client(rules);
        string reply = client.Raw(line.Split(' '));
        Assert.Equal(allowed, !reply.StartsWith("-NOPERM", StringComparison.Ordinal));
        string dry = Replies.Show(_redis.Run(["ACL", "DRYRUN", "user", .. line.Split(' ')]));
        Assert.Equal(allowed, dry == "OK");
    }

    [Fact]
    public void A_denial_names_the_command_but_neither_key_nor_channel()
    {
        EngineClient client = Client("+get ~a");
        Assert.Equal("-NOPERM User user has no permissions to run the 'config|set' command", client.Show("CONFIG SET timeout 1"));
        Assert.Equal(NoKey, client.Show("GET secret"));
        Assert.Equal("User user has no permissions to access the 'secret' key", _redis.Show("ACL DRYRUN user GET secret"));
        Assert.Equal("User user has no permissions to run the 'set' command", _redis.Show("ACL DRYRUN user SET a b"));
        Assert.Equal("-ERR User 'nobody' not found", _redis.Show("ACL DRYRUN nobody GET a"));
        Assert.Equal("-ERR Command 'nothing' not found", _redis.Show("ACL DRYRUN user nothing"));
        Assert.Equal("-ERR wrong number of arguments for 'get' command", _redis.Show("ACL DRYRUN user GET"));
    }

    [Fact]
    public void Without_rights_no_command_runs_but_those_for_getting_them()
    {
        AclRules nothing = new(s_all, allChannelsByDefault: false);
        foreach (CommandInfo command in Callable())
        {
            Request request = Minimal(command).Request;
            bool isOpen = command.Is(CommandFlags.NoAuth);
            Assert.True(isOpen == nothing.Check(command, request).IsAllowed, command.Name);
            // Under its own name and in any case, the request is for this very command.
            Assert.Same(command, s_all.Resolve(AclRuleGenerator.Owned(command.Name.ToUpperInvariant().Split('|').Concat(["1", "1", "1"])).Request));
        }
    }

    [Fact]
    public void Without_keys_no_command_reaches_one()
    {
        AclRules noKeys = new(s_all, allChannelsByDefault: false);
        noKeys.Apply("+@all");
        foreach (CommandInfo command in Callable())
        {
            if (!command.Keys.Any(keys => !keys.IsNotKey)) continue;
            AclVerdict verdict = noKeys.Check(command, Minimal(command).Request);
            Assert.True(verdict.Reason == AclReason.Key, command.Name);
        }
    }

    [Fact]
    public void Allowing_a_command_allows_that_one_alone()
    {
        CommandInfo[] commands = [.. Callable()];
        foreach (CommandInfo allowed in commands.Where(command => command.Name.Contains('|') || command.Subcommands is null))
        {
            AclRules rules = new(s_all, allChannelsByDefault: false);
            Assert.Equal(AclError.None, rules.Apply("+" + allowed.Name));
            rules.Apply("allkeys");
            foreach (CommandInfo command in commands)
            {
                if (command.Is(CommandFlags.NoAuth)) continue;
                Assert.True(rules.Check(command, Minimal(command).Request).Reason == (command == allowed
                    ? command.Channels is null ? AclReason.None : AclReason.Channel
                    : AclReason.Command), $"+{allowed.Name}: {command.Name}");
            }
        }
    }

    [Fact]
    public void What_may_not_be_run_is_not_queued_and_spoils_the_transaction()
    {
        EngineClient client = Client("+multi +exec +get ~a");
        client.Run("MULTI");
        Assert.Equal(NoKey, client.Show("GET b"));
        Assert.Equal("QUEUED", client.Show("GET a"));
        Assert.Equal("-EXECABORT Transaction discarded because of previous errors.", client.Show("EXEC"));
        Assert.Equal(AclContext.Multi, _redis.Store.Acl.Denials.Latest(1)[0].Context);
    }

    [Fact]
    public void Exec_asks_the_rules_again()
    {
        EngineClient client = Client("+multi +exec +get +set ~*");
        client.Run("MULTI");
        client.Run("SET", "a", "1");
        client.Run("GET", "a");
        client.Run("SET", "b", "1");
        _redis.Run("ACL", "SETUSER", "user", "-set");
        Assert.Equal(
            "[-NOPERM ACLs rules changed between the moment the transaction was accumulated and the EXEC call. This command is no longer allowed for the "
                + "following reason: no permission to execute the command or subcommand, (nil), "
                + "-NOPERM ACLs rules changed between the moment the transaction was accumulated and the EXEC call. This command is no longer allowed for the "
                + "following reason: no permission to execute the command or subcommand]",
            client.Show("EXEC"));
        Assert.Equal(0L, _redis.Run("EXISTS", "a", "b"));
        AclLogEntry entry = _redis.Store.Acl.Denials.Latest(1)[0];
        Assert.Equal((AclContext.Multi, "set", 2L), (entry.Context, entry.Object, entry.Count));

        client.Run("MULTI");
        client.Run("GET", "a");
        _redis.Run("ACL", "SETUSER", "user", "resetkeys");
        Assert.EndsWith("no permission to touch the specified keys]", client.Show("EXEC"), StringComparison.Ordinal);
        client.Run("MULTI");
        _redis.Run("ACL", "SETUSER", "user", "-exec");
        Assert.Equal(
            "-EXECABORT Transaction discarded because of: NOPERM User user has no permissions to run the 'exec' command", client.Show("EXEC"));
        Assert.False(client.Session.Transaction!.IsOpen);
    }

    [Fact]
    public async Task A_blocked_command_is_not_served_once_it_is_denied()
    {
        EngineClient client = Client("+blpop ~*");
        Task<object?> denied = client.RunAsync("BLPOP", "list", "0");
        EngineClient other = _redis.NewClient();
        Task<object?> served = other.RunAsync("BLPOP", "list", "0");
        _redis.Run("ACL", "SETUSER", "user", "resetkeys", "~other");
        _redis.Run("RPUSH", "list", "x");
        Assert.Equal(NoKey, Replies.Show(await denied.WaitAsync(Eventually.Deadline)));
        Assert.Equal("[list, x]", Replies.Show(await served.WaitAsync(Eventually.Deadline)));
        Assert.Equal(0L, _redis.Run("EXISTS", "list"));
        await Eventually.TrueAsync(() => _redis.Store.BlockedCommands == 0);
    }

    [Theory]
    [InlineData("+sort ~list", false)]
    [InlineData("+sort ~list ~v*", false)]
    [InlineData("+sort ~list %W~*", false)]
    [InlineData("+sort ~list %R~*", true)]
    [InlineData("(+sort ~list) (%R~* +get)", false)]
    [InlineData("+get (+sort ~*)", true)]
    public void Sort_by_other_keys_needs_all_of_them(string rules, bool allowed)
    {
        _redis.Run("RPUSH", "list", "1");
        _redis.Run("SET", "v1", "2");
        EngineClient client = Client(rules);
        Assert.Equal(allowed ? "[1]" : "-ERR BY option of SORT denied due to insufficient ACL permissions.", client.Show("SORT list BY v*"));
        Assert.Equal(allowed ? "[2]" : "-ERR GET option of SORT denied due to insufficient ACL permissions.", client.Show("SORT list GET v*"));
        Assert.Equal("[1]", client.Show("SORT list BY nosort"));
        // CVE-2023-41053
        string readOnly = allowed ? "[1]" : "-ERR BY option of SORT denied due to insufficient ACL permissions.";
        _redis.Run("ACL", "SETUSER", "user", "+sort_ro");
        if (rules.StartsWith("+sort", StringComparison.Ordinal)) Assert.Equal(readOnly, client.Show("SORT_RO list BY v*"));
    }

    [Fact]
    public void Channels_are_matched_and_patterns_of_channels_are_compared()
    {
        AclRules rules = new(s_all, allChannelsByDefault: false);
        foreach (string rule in (string[])["+testpublish", "&news.*", "&one", "(&two)"]) rules.Apply(rule);
        CommandInfo publish = s_all.Find("testpublish"u8)!;
        Assert.True(rules.Check(publish, AclRuleGenerator.Owned(["TESTPUBLISH", "news.x", "m"]).Request).IsAllowed);
        Assert.Equal(new AclVerdict(AclReason.Channel, 1), rules.Check(publish, AclRuleGenerator.Owned(["TESTPUBLISH", "two", "m"]).Request));
        Assert.True(rules.AllowChannel("one"u8, isPattern: false));
        Assert.True(rules.AllowChannel("two"u8, isPattern: false));
        Assert.True(rules.AllowChannel("news.*"u8, isPattern: true));
        Assert.False(rules.AllowChannel("news.x"u8, isPattern: true));
        Assert.False(rules.AllowChannel("n"u8, isPattern: false));
        Assert.Equal(new ChannelSpecification(1, -1, true), ChannelSpecification.Parse("PATTERN 1..-1"));
        Assert.Equal(NoChannel, "-NOPERM " + new AclVerdict(AclReason.Channel, 1).Message("user", publish));
        rules.Apply("allchannels");
        Assert.True(rules.Check(publish, AclRuleGenerator.Owned(["TESTPUBLISH", "two", "m"]).Request).IsAllowed);
    }

    [Fact]
    public void Of_several_selectors_the_key_is_reported_that_none_allows()
    {
        EngineClient client = Client("+mget ~key (+mget ~key ~otherkey)");
        client.Run("MGET", "otherkey", "someotherkey");
        Assert.Equal("someotherkey", _redis.Store.Acl.Denials.Latest(1)[0].Object);
        client.Run("GET", "key");
        Assert.Equal((AclReason.Command, "get"), (_redis.Store.Acl.Denials.Latest(1)[0].Reason, _redis.Store.Acl.Denials.Latest(1)[0].Object));
    }

    [Theory]
    [InlineData("GET a1")]
    [InlineData("SET a1 x GET")]
    [InlineData("MGET a1 b a2")]
    [InlineData("MGET a1 c")]
    [InlineData("XREAD STREAMS a1 a2 0 0")]
    [InlineData("SELECT 0")]
    [InlineData("BITFIELD a1 GET u8 0")]
    public void Asking_the_rules_allocates_nothing(string line)
    {
        AclRules rules = Client("+get +set +mget +xread +select|0 ~b ~a* (+@all %R~a?)").Session.User.Rules;
        OwnedRequest request = AclRuleGenerator.Owned(line.Split(' '));
        CommandInfo command = EngineHarness.Commands.Resolve(request.Request)!;
        Allocated(1000);
        long least = long.MaxValue;
        // The runtime allocates a little itself when it recompiles the code.
        for (int round = 0; round < 10 && least > 0; round++) least = Math.Min(least, Allocated(10_000));
        Assert.Equal(0, least);

        long Allocated(int times)
        {
            long before = GC.GetAllocatedBytesForCurrentThread();
            for (int i = 0; i < times; i++) rules.Check(command, request.Request);
            return GC.GetAllocatedBytesForCurrentThread() - before;
        }
    }

    [Fact]
    public async Task A_grain_call_is_its_user_or_the_default_user_if_everybody_may_be()
    {
        _redis.Run("ACL", "SETUSER", "user", "on", ">pw", "+get", "~a", "+acl|whoami");
        AclUser user = _redis.Store.Acl.Authenticate("user"u8, "pw"u8, new Session(), "AUTH"u8, out _)!;
        Assert.Equal("$4\r\nuser\r\n", await CallAs(user, "ACL WHOAMI"));
        Assert.Equal("_\r\n", await CallAs(user, "GET a"));
        Assert.Equal(NoKey + "\r\n", await CallAs(user, "GET b"));
        Assert.Equal("$7\r\ndefault\r\n", await CallAs(null, "ACL WHOAMI"));
        _redis.Run("ACL", "SETUSER", "default", "-get");
        Assert.Equal("-NOPERM User default has no permissions to run the 'get' command\r\n", await CallAs(null, "GET a"));
        _redis.Run("ACL", "SETUSER", "default", "resetpass", ">secret");
        Assert.Equal("-NOAUTH Authentication required.\r\n", await CallAs(null, "ACL WHOAMI"));
        Assert.Null(_redis.Store.Acl.Authenticate("user"u8, "wrong"u8, new Session(), "AUTH"u8, out string error));
        Assert.Equal("WRONGPASS invalid username-password pair or user is disabled.", error);
        _redis.Run("ACL", "DELUSER", "user");
        Assert.StartsWith("-NOPERM User user has no permissions", await CallAs(user, "GET a"), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("on >right", "right", true)]
    [InlineData("on >right >other", "other", true)]
    [InlineData("on >right", "wrong", false)]
    [InlineData("on >right", "", false)]
    [InlineData("on", "", false)]
    [InlineData("on nopass", "anything", true)]
    [InlineData("off nopass", "anything", false)]
    [InlineData("off >right", "right", false)]
    [InlineData("on >a\0b", "a\0b", true)]
    [InlineData("on >a\0b", "a", false)]
    public void A_password_is_right_or_not(string rules, string password, bool right)
    {
        Assert.Null(_redis.Store.Acl.Set("user", rules.Split(' '), by: null));
        AclUser? user = _redis.Store.Acl.Authenticate("user"u8, Encoding.Latin1.GetBytes(password), new Session(), "AUTH"u8, out _);
        Assert.Equal(right, user is not null);
        Assert.Equal(right ? 0 : 1, _redis.Store.Acl.Denials.Denied(AclReason.Auth));
    }

    private EngineClient Client(string rules)
    {
        string[] words = rules.Split(' ');
        Assert.Null(_redis.Store.Acl.Set("user", ["on", .. words], by: null));
        EngineClient client = _redis.NewClient();
        client.Session.User = _redis.Store.Acl.Find("user"u8)!;
        return client;
    }

    private async Task<string> CallAs(AclUser? user, string line) =>
        Encoding.Latin1.GetString(await _redis.Runner.RunAsync(
            0, [.. line.Split(' ').Select(word => (ReadOnlyMemory<byte>)Encoding.Latin1.GetBytes(word))], limit: null, user));

    private static IEnumerable<CommandInfo> Callable() =>
        s_all.Declared.SelectMany(command => command.Subcommands?.Values.Append(command) ?? [command]).Where(command => command.Method is not null);

    /// <summary>A request with as few arguments as the command takes, which has all its keys.</summary>
    private static OwnedRequest Minimal(CommandInfo command)
    {
        var words = new List<string>(command.Name.Split('|'));
        while (words.Count < Math.Abs(command.Arity)) words.Add("1");
        foreach (KeySpecification keys in command.Keys)
        {
            if (keys.Search == KeySearch.Keyword) words.AddRange([keys.Keyword, "1", "1"]);
            while (keys.Find == KeyFind.KeyCount && words.Count < keys.First + 2) words.Add("1");
        }
        if (command.Name == "migrate") words[3] = ""; // or KEYS, which stands there by now, is wrong
        return AclRuleGenerator.Owned(words);
    }
}

/// <summary>A command that names a channel.</summary>
internal static class ChannelCommand
{
    [Command("TESTPUBLISH", 3, CommandFlags.PubSub, Category.None, Channels = "1", Since = "99.0.0", Complexity = "", Summary = "")]
    internal static void Publish(ref CommandContext call) => call.Reply.Ok();
}

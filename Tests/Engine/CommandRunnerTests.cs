using System.Text;
using OrleansRedis.Engine;
using OrleansRedis.Tests.Harness;
using Xunit;

namespace OrleansRedis.Tests;

/// <summary>
/// What is the same for every caller that runs a command: what may stop the command, how it is tried, and that it is
/// counted.
/// </summary>
public sealed class CommandRunnerTests : IDisposable
{
    private static readonly TimeSpan s_patience = Eventually.Deadline;

    private readonly EngineHarness _redis = new();

    public void Dispose() => _redis.Dispose();

    [Fact]
    public void Exec_does_what_was_queued()
    {
        Session session = _redis.Client.Session;
        CommandInfo exec = Command("EXEC");
        Assert.Equal(exec.Flags, session.FlagsOf(exec));
        Assert.True(session.HasThroughout(exec, CommandFlags.Loading));

        _redis.Run("MULTI");
        Assert.Equal(exec.Flags, session.FlagsOf(exec));
        _redis.Run("COMMAND", "COUNT");
        Assert.True(session.HasThroughout(exec, CommandFlags.Loading));
        _redis.Run("SET", "a", "1");
        _redis.Run("GET", "a");
        Assert.Equal(exec.Flags | Command("SET").Flags | Command("GET").Flags, session.FlagsOf(exec));
        Assert.False(session.HasThroughout(exec, CommandFlags.Loading));

        // The queue matters to no other command and to no other session.
        Assert.Equal(Command("DISCARD").Flags, session.FlagsOf(Command("DISCARD")));
        Assert.Equal(Command("GET").Flags, session.FlagsOf(Command("GET")));
        Assert.Equal(exec.Flags, new Session().FlagsOf(exec));
        _redis.Run("DISCARD");
        Assert.Equal(exec.Flags, session.FlagsOf(exec));
    }

    [Fact]
    public void A_refused_exec_is_over_and_says_why()
    {
        _redis.Run("WATCH", "a");
        _redis.Run("MULTI");
        _redis.Run("SET", "a", "1");
        Assert.Equal("-EXECABORT Transaction discarded because of: wrong number of arguments for 'exec' command\r\n", _redis.Raw("EXEC", "now"));
        Assert.Equal("-ERR EXEC without MULTI\r\n", _redis.Raw("EXEC"));
        Assert.Equal(0, _redis.Client.Session.Transaction!.WatchedCount);
        Assert.Null(_redis.Run("GET", "a"));
    }

    [Fact]
    public async Task Without_a_connection_a_command_is_refused_that_would_change_one()
    {
        foreach (string command in (string[])["SELECT 1", "MULTI", "EXEC", "WATCH a", "COMMAND COUNT"])
            Assert.Contains("needs a connection", await CallOnce(command), StringComparison.Ordinal);
        Assert.Equal("+OK\r\n", await CallOnce("SET a 1"));
    }

    [Fact]
    public async Task A_pause_holds_whoever_writes_without_a_connection_too()
    {
        _redis.Runner.Pause.Begin(_redis.NowMs + 60_000, all: false);
        Task<string> set = CallOnce("SET a 1");
        Assert.Equal("_\r\n", await CallOnce("GET a").WaitAsync(s_patience));
        Assert.False(set.IsCompleted);
        Assert.Equal(1, _redis.Runner.Pause.HeldCount);
        _redis.Runner.Pause.End();
        Assert.Equal("+OK\r\n", await set.WaitAsync(s_patience));
        Assert.Equal(0, _redis.Runner.Pause.HeldCount);
    }

    [Fact]
    public async Task While_the_data_is_loaded_only_what_may_run_then_runs_without_a_connection()
    {
        _redis.Store.Restrict(Restrictions.Loading);
        Assert.StartsWith("-LOADING", await CallOnce("GET a"), StringComparison.Ordinal);
        Assert.StartsWith("%", await CallOnce("CONFIG GET port"), StringComparison.Ordinal);
        _redis.Store.Lift(Restrictions.Loading);
        _redis.Store.Restrict(Restrictions.Stopping);
        Assert.StartsWith("-ERR Server is shutting down", await CallOnce("GET a"), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Everything_is_counted_once()
    {
        await CallOnce("SET text word");
        await CallOnce("INCR text");
        await CallOnce("INCR");
        await CallOnce("NOSUCH");
        _redis.Run("MULTI");
        _redis.Run("INCR", "text");
        _redis.Run("EXEC");
        CommandObserver observer = _redis.Runner.Observer;
        CommandCount incr = observer.Statistics.Of(Command("INCR"));
        Assert.Equal((2, 1, 2), (incr.Calls, incr.Rejected, incr.Failed));
        Assert.Equal(1, observer.Statistics.Of(Command("SET")).Calls);
        Assert.Equal(1, observer.Statistics.Of(Command("EXEC")).Calls);
        Assert.Equal(5, observer.Statistics.Calls);
        Assert.Equal(4, observer.Errors.Total);
        _redis.Run("CONFIG", "RESETSTAT");
        Assert.Equal(0, observer.Errors.Total);
    }

    [Fact]
    public async Task A_blocked_command_is_counted_when_it_begins_to_wait_and_fails_when_it_ends_in_an_error()
    {
        EngineClient client = _redis.NewClient();
        Task<object?> waiting = client.RunAsync("BLPOP", "list", "0");
        Assert.True(client.Session.Blocked!.TryEnd(BlockedEnd.Unblocked));
        Assert.IsType<RespError>(await waiting.WaitAsync(s_patience));
        CommandCount count = _redis.Runner.Observer.Statistics.Of(Command("BLPOP"));
        Assert.Equal((1, 1), (count.Calls, count.Failed));
    }

    [Fact]
    public void A_slot_that_is_nowhere_is_said_so_and_one_that_comes_is_waited_for()
    {
        Withdraw("a");
        Assert.Equal("-CLUSTERDOWN Hash slot not served\r\n", _redis.Raw("SET", "a", "1"));
        Assert.Equal("-CLUSTERDOWN Hash slot not served\r\n", _redis.Raw("MSET", "b", "1", "a", "1"));
        Assert.Null(_redis.Run("GET", "b"));
        _redis.Router.Bring = Publish;
        Assert.Equal("OK", _redis.Run("MSET", "b", "1", "a", "2"));
        Assert.Equal("2", _redis.Run("GET", "a"));
    }

    [Theory]
    [InlineData("SORT list BY weight:*")]
    [InlineData("SORT list BY nosort GET weight:*")]
    [InlineData("SORT list BY weight:* GET # STORE sorted")]
    [InlineData("SORT list BY nosort GET weight:* STORE sorted")]
    public void A_command_that_meets_on_its_way_a_slot_which_is_not_here_has_changed_nothing_and_is_begun_anew_when_it_comes(string line)
    {
        _redis.Run("RPUSH", "list", "1", "2", "3");
        _redis.Run("SET", "sorted", "old");
        _redis.Run("SET", "weight:1", "1");
        Withdraw("weight:2");
        _redis.TakeEffects();
        string[] words = line.Split(' ');
        Assert.Equal(Outcome.SlotNotHere, _redis.Client.Try(words));
        Assert.Equal("-CLUSTERDOWN Hash slot not served\r\n", _redis.Raw(words));
        Assert.Equal("old", _redis.Run("GET", "sorted"));
        Assert.Empty(_redis.TakeEffects());
        // All gates are free again, including the one that roaming commands take.
        Assert.Equal(3L, _redis.Run("LLEN", "list"));
        _redis.Router.Bring = Publish;
        Assert.IsNotType<RespError>(_redis.Run(words));
    }

    [Fact]
    public void In_a_transaction_it_fails_alone()
    {
        _redis.Run("RPUSH", "list", "1");
        Withdraw("weight:1");
        _redis.Run("MULTI");
        _redis.Run("SET", "a", "1");
        _redis.Run("SORT", "list", "BY", "weight:*", "GET", "#");
        _redis.Run("INCR", "a");
        Assert.Equal("*3\r\n+OK\r\n-CLUSTERDOWN Hash slot not served\r\n:2\r\n", _redis.Raw("EXEC"));
    }

    [Theory]
    [InlineData("GET b")]
    [InlineData("KEYS *")]  // then the transaction runs alone
    public void A_transaction_whose_slot_is_not_here_has_done_nothing_and_is_over(string queued)
    {
        _redis.Run("MULTI");
        _redis.Run("SET", "b", "1");
        _redis.Run("SET", "a", "1");
        _redis.Run(queued.Split(' '));
        Withdraw("a");
        Assert.Equal("-CLUSTERDOWN Hash slot not served\r\n", _redis.Raw("EXEC"));
        Assert.Equal("-ERR EXEC without MULTI\r\n", _redis.Raw("EXEC"));
        Assert.Null(_redis.Run("GET", "b"));
    }

    [Theory]
    [InlineData("DISCARD", "+OK\r\n")]
    [InlineData("EXEC", "*-1\r\n")]
    public void A_transaction_can_be_ended_when_a_watched_slot_has_left(string end, string reply)
    {
        _redis.Run("WATCH", "a", "b");
        _redis.Run("MULTI");
        _redis.Run("GET", "b");
        Withdraw("a");
        Assert.Equal(reply, _redis.Raw(end));
        Assert.True(_redis.Store.Slots[KeySlot.Of("b"u8)]!.Watchers?.IsEmpty != false);
    }

    [Fact]
    public async Task A_blocked_command_whose_destination_has_left_is_told_so_by_whoever_runs_alone()
    {
        Task<object?> waiting = _redis.NewClient().RunAsync("BLMOVE", "from", "to", "LEFT", "LEFT", "0");
        Withdraw("to");
        _redis.Run("MULTI");
        _redis.Run("RPUSH", "from", "x");
        _redis.Run("KEYS", "*");
        _redis.Run("EXEC");
        Assert.StartsWith("UNBLOCKED", Assert.IsType<RespError>(await waiting.WaitAsync(s_patience)).Text, StringComparison.Ordinal);
        Assert.Equal(1L, _redis.Run("LLEN", "from"));
    }

    [Theory]
    [InlineData("BLPOP q 0", "RPUSH q x", "LLEN q")]
    [InlineData("BLMOVE q other LEFT LEFT 100", "RPUSH q x", "LLEN q")]
    [InlineData("BZPOPMIN q 0", "ZADD q 1 x", "ZCARD q")]
    [InlineData("XREADGROUP GROUP g c BLOCK 0 STREAMS stream >", "XADD stream 1-1 f v", "XLEN stream")]
    public async Task What_a_call_waits_for_is_not_given_to_it_once_it_is_over(string wait, string give, string count)
    {
        _redis.Show("XGROUP CREATE stream g 0 MKSTREAM");
        using var cancellation = new CancellationTokenSource();
        Task<string> timesOut = CallOnce(wait, TimeSpan.FromSeconds(20)), gives = CallOnce(wait, TimeSpan.FromSeconds(60), cancellation.Token);
        await Eventually.TrueAsync(() => _redis.Store.BlockedCommands == 2);
        _redis.Time.Advance(19_999);
        Assert.False(timesOut.IsCompleted);
        _redis.Time.Advance(1);
        Assert.Equal($"-{Errors.CallIsOver}\r\n", await timesOut.WaitAsync(s_patience));
        await cancellation.CancelAsync();
        Assert.Equal($"-{Errors.CallIsOver}\r\n", await gives.WaitAsync(s_patience));
        _redis.Show(give);
        Assert.Equal(1L, _redis.Run(count.Split(' ')));
        Assert.Equal("[0, (nil), (nil), (nil)]", _redis.Show("XPENDING stream g"));
        Assert.Equal(0, _redis.Store.BlockedCommands);
    }

    [Fact]
    public async Task A_call_that_is_over_before_its_command_can_run_does_nothing()
    {
        _redis.Run("RPUSH", "q", "x");
        _redis.Runner.Pause.Begin(_redis.NowMs + 100_000, all: false);
        Task<string> paused = CallOnce("LPOP q", TimeSpan.FromSeconds(20));
        Assert.False(paused.IsCompleted);
        _redis.Time.Advance(20_000);
        Assert.Equal($"-{Errors.CallIsOver}\r\n", await paused.WaitAsync(s_patience));
        _redis.Time.Advance(100_000);
        Assert.Equal(1L, _redis.Run("LLEN", "q"));

        // Held up by whoever has the whole silo, with no timer that could tell.
        await _redis.Store.SiloGate.EnterExclusiveAsync();
        Task<string> heldUp = CallOnce("LPOP q", TimeSpan.FromSeconds(20));
        _redis.Time.Advance(20_000);
        _redis.Store.SiloGate.ExitExclusive();
        Assert.Equal($"-{Errors.CallIsOver}\r\n", await heldUp.WaitAsync(s_patience));
        Assert.Equal(1L, _redis.Run("LLEN", "q"));
        Assert.Equal("$1\r\nx\r\n", await CallOnce("LPOP q", TimeSpan.FromSeconds(20)));
    }

    private static CommandInfo Command(string name) => EngineHarness.Commands.Find(Encoding.ASCII.GetBytes(name))!;

    /// <summary>A command as a grain call sends it.</summary>
    private async Task<string> CallOnce(string line, TimeSpan? limit = null, CancellationToken cancellation = default) =>
        Encoding.ASCII.GetString(await _redis.Runner.RunAsync(
            0, [.. line.Split(' ').Select(word => (ReadOnlyMemory<byte>)Encoding.ASCII.GetBytes(word))], limit, user: null, cancellation));

    private void Withdraw(string key) => _redis.Store.Slots.Withdraw(_redis.Store.Slots[KeySlot.Of(Encoding.ASCII.GetBytes(key))]!);

    private bool Publish(int slot)
    {
        _redis.Store.Slots.Publish(_redis.Store.Slots.Create(slot, epoch: 2));
        return true;
    }
}

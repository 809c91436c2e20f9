using OrleansRedis.Engine;
using Xunit;

namespace OrleansRedis.Tests.Acl;

/// <summary>ACL LOG, and holding back those who guess passwords.</summary>
public sealed class AclLogTests : IDisposable
{
    private readonly EngineHarness _redis = new();

    public AclLogTests() => _redis.Run("ACL", "SETUSER", "user", "on", ">right", "+get", "~a");

    public void Dispose() => _redis.Dispose();

    [Fact]
    public void Denials_are_listed_the_last_one_first()
    {
        EngineClient client = Client();
        client.Run("SET", "a", "1");
        _redis.Time.Advance(1500);
        client.Run("GET", "secret");
        var entries = (object?[])_redis.Run("ACL", "LOG")!;
        Assert.Equal(2, entries.Length);
        long second = _redis.NowMs, first = second - 1500;
        Assert.Equal(
            $"[count, 1, reason, key, context, toplevel, object, secret, username, user, age-seconds, 0, client-info, user=user, entry-id, 1, "
                + $"timestamp-created, {second}, timestamp-last-updated, {second}]", Replies.Show(entries[0]));
        Assert.Equal(
            $"[count, 1, reason, command, context, toplevel, object, set, username, user, age-seconds, 1.5, client-info, user=user, entry-id, 0, "
                + $"timestamp-created, {first}, timestamp-last-updated, {first}]", Replies.Show(entries[1]));
        Assert.Single((object?[])_redis.Run("ACL", "LOG", "1")!);
        Assert.Empty((object?[])_redis.Run("ACL", "LOG", "-1")!);
        Assert.Equal("OK", _redis.Run("ACL", "LOG", "RESET"));
        Assert.Empty((object?[])_redis.Run("ACL", "LOG")!);
    }

    [Fact]
    public void The_same_denial_within_a_minute_is_one_entry()
    {
        EngineClient client = Client();
        client.Run("GET", "x");
        client.Run("GET", "y");
        _redis.Time.Advance(60_000);
        client.Run("GET", "x");
        List<AclLogEntry> entries = _redis.Store.Acl.Denials.Latest(10);
        Assert.Equal(["x", "y"], entries.Select(entry => entry.Object));
        Assert.Equal((2, 60_000), (entries[0].Count, entries[0].UpdatedMs - entries[0].CreatedMs));
        _redis.Time.Advance(60_001);
        client.Run("GET", "x");
        Assert.Equal(["x", "x", "y"], _redis.Store.Acl.Denials.Latest(10).Select(entry => entry.Object));
    }

    [Fact]
    public void Only_the_last_ten_entries_are_compared()
    {
        EngineClient client = Client();
        for (int i = 0; i < 11; i++) client.Run("GET", $"x{i}");
        client.Run("GET", "x1");
        client.Run("GET", "x0");
        List<AclLogEntry> entries = _redis.Store.Acl.Denials.Latest(20);
        Assert.Equal(12, entries.Count);
        Assert.Equal(("x0", 1L), (entries[0].Object, entries[0].Count));
        Assert.Equal(("x1", 2L), (entries[1].Object, entries[1].Count));
    }

    [Fact]
    public void The_log_keeps_as_many_entries_as_the_directive_says()
    {
        EngineClient client = Client();
        for (int i = 0; i < 130; i++) client.Run("GET", $"x{i}");
        Assert.Equal(128, _redis.Store.Acl.Denials.Latest(1000).Count);
        _redis.Run("CONFIG", "SET", "acllog-max-len", "5");
        client.Run("GET", "x");
        Assert.Equal(["x", "x129", "x128", "x127", "x126"], _redis.Store.Acl.Denials.Latest(1000).Select(entry => entry.Object));
        _redis.Run("CONFIG", "SET", "acllog-max-len", "0");
        client.Run("GET", "x");
        Assert.Empty(_redis.Store.Acl.Denials.Latest(1000));
        Assert.Equal(132, _redis.Store.Acl.Denials.Denied(AclReason.Key));
        _redis.Run("CONFIG", "RESETSTAT");
        Assert.Equal(0, _redis.Store.Acl.Denials.Denied(AclReason.Key));
    }

    [Fact]
    public void A_wrong_password_is_logged_without_the_password()
    {
        Assert.Null(_redis.Store.Acl.Authenticate("user"u8, "guess"u8, new Session(), "AUTH"u8, out _));
        AclLogEntry entry = Assert.Single(_redis.Store.Acl.Denials.Latest(10));
        Assert.Equal((AclReason.Auth, AclContext.Toplevel, "AUTH", "user"), (entry.Reason, entry.Context, entry.Object, entry.User));
        Assert.DoesNotContain("guess", Replies.Show(_redis.Run("ACL", "LOG")), StringComparison.Ordinal);
    }

    [Fact]
    public void An_address_that_guesses_too_often_is_not_listened_to_for_a_while()
    {
        _redis.Store.Options.AuthFailuresPerMinute = 6;
        var guesser = new Visitor("10.0.0.1");
        for (int i = 0; i < 6; i++) Assert.Equal("WRONGPASS invalid username-password pair or user is disabled.", Authenticate(guesser, "guess"));
        const string refused = "ERR too many failed attempts to authenticate from this address, try again later";
        Assert.Equal(refused, Authenticate(guesser, "guess"));
        Assert.Equal(refused, Authenticate(guesser, "right")); // or else there would be no end to guessing
        Assert.Equal(8, _redis.Store.Acl.Denials.Denied(AclReason.Auth));
        Assert.Null(Authenticate(new Visitor("10.0.0.2"), "right"));
        Assert.Null(Authenticate(new Visitor(""), "right"));
        _redis.Time.Advance(60_000);
        Assert.Null(Authenticate(guesser, "right"));
    }

    [Fact]
    public void Without_a_limit_and_without_an_address_one_may_guess_for_ever()
    {
        _redis.Store.Options.AuthFailuresPerMinute = 1;
        for (int i = 0; i < 3; i++) Authenticate(new Visitor(""), "guess");
        Assert.Null(Authenticate(new Visitor(""), "right"));
        _redis.Store.Options.AuthFailuresPerMinute = 0;
        var guesser = new Visitor("10.0.0.1");
        for (int i = 0; i < 300; i++) Authenticate(guesser, "guess");
        Assert.Null(Authenticate(guesser, "right"));
    }

    [Fact]
    public void Only_so_many_addresses_are_remembered()
    {
        for (int i = 0; i < 25_000; i++) _redis.Store.Acl.Throttle.Failed($"10.{i >> 16}.{(i >> 8) & 255}.{i & 255}");
        Assert.InRange(_redis.Store.Acl.Throttle.Count, 1, 10_000);
    }

    private string? Authenticate(Session session, string password) =>
        _redis.Store.Acl.Authenticate("user"u8, System.Text.Encoding.ASCII.GetBytes(password), session, "AUTH"u8, out string error) is null ? error : null;

    private EngineClient Client()
    {
        EngineClient client = _redis.NewClient();
        client.Session.User = _redis.Store.Acl.Find("user"u8)!;
        return client;
    }

    private sealed class Visitor(string origin) : Session
    {
        public override string Origin => origin;
    }
}

using OrleansRedis.Engine;
using Xunit;

namespace OrleansRedis.Tests.Acl;

/// <summary>Users in redis.conf and in a file of their own.</summary>
public sealed class AclFileTests : IDisposable
{
    private readonly string _directory = Directory.CreateTempSubdirectory("orleansredis-test-").FullName;

    private string AclFile => Path.Combine(_directory, "users.acl");

    public void Dispose() => Directory.Delete(_directory, recursive: true);

    [Fact]
    public void What_is_saved_is_loaded()
    {
        using EngineHarness redis = WithFile("user alice on nopass ~* +@all\n\n  user bob on (+set %W~w*) (+get %R~r*) \r\n");
        redis.Store.Acl.LoadAtStart();
        Assert.Equal(["alice", "bob", "default"], redis.Store.Acl.All.Select(user => user.Name));
        redis.Run("ACL", "SETUSER", "eve", "+get", "allkeys", ">eve", "on");
        var before = (object?[])redis.Run("ACL", "LIST")!;
        Assert.Equal("OK", redis.Run("ACL", "SAVE"));
        Assert.Equal(before.Select(line => line + "\n"), File.ReadAllLines(AclFile).Select(line => line + "\n"));
        redis.Run("ACL", "DELUSER", "eve");
        redis.Run("ACL", "SETUSER", "alice", "reset");
        Assert.Equal("OK", redis.Run("ACL", "LOAD"));
        Assert.Equal(before, (object?[])redis.Run("ACL", "LIST")!);
    }

    [Fact]
    public void Loading_keeps_the_sessions_of_those_who_are_still_there()
    {
        using EngineHarness redis = WithFile("user alice on nopass ~* +@all\nuser bob on nopass ~* +@all\n");
        redis.Store.Acl.LoadAtStart();
        AclUser alice = redis.Store.Acl.Find("alice"u8)!, bob = redis.Store.Acl.Find("bob"u8)!;
        EngineClient client = redis.NewClient();
        client.Session.User = alice;
        var changed = new List<string>();
        redis.Store.Acl.Changed += (user, _) => changed.Add($"{user.Name} {user.IsDeleted}");
        File.WriteAllText(AclFile, "user alice on nopass ~* -@all +acl\n");
        Assert.Equal("OK", client.Run("ACL", "LOAD"));
        Assert.Same(alice, redis.Store.Acl.Find("alice"u8));
        Assert.Equal("-NOPERM User alice has no permissions to run the 'get' command", client.Show("GET a"));
        Assert.True(bob.IsDeleted);
        Assert.Equal(["alice False", "bob True", "default False"], changed);
        // Without a line for it the default user is as at the first.
        Assert.Equal("on nopass sanitize-payload ~* &* +@all", redis.Store.Acl.Default.Rules.Describe());
    }

    [Theory]
    [InlineData("user alice on\nuser alice off", "WARNING: Duplicate user 'alice' found on line 2. ")]
    [InlineData("user default on\nuser default off", "WARNING: Duplicate user 'default' found on line 2. ")]
    [InlineData("# comment", "users.acl:1 should start with user keyword followed by the username. ")]
    [InlineData("user", "users.acl:1 should start with user keyword followed by the username. ")]
    [InlineData("\nuser a\tb on", "'users.acl:2: username 'a\tb' contains invalid characters. ")]
    [InlineData("user a +nothing -@none", "users.acl:1: Error in applying operation '+nothing': Unknown command or category name in ACL. "
        + "users.acl:1: Error in applying operation '-@none': Unknown command or category name in ACL. ")]
    [InlineData("user a <secret bogus", "users.acl:1: The password you are trying to remove from the user does not exist. ")]
    [InlineData("user a (~a", "users.acl:1: Unmatched parenthesis in selector definition.")]
    public void A_file_with_an_error_changes_nothing(string content, string error)
    {
        using EngineHarness redis = WithFile("user alice on nopass ~* +@all\n");
        redis.Store.Acl.LoadAtStart();
        File.WriteAllText(AclFile, content);
        string shown = error + "WARNING: ACL errors detected, no change to the previously active ACL rules was performed";
        Assert.Equal("-ERR " + shown, Replies.Show(redis.Run("ACL", "LOAD")));
        Assert.Equal(["alice", "default"], redis.Store.Acl.All.Select(user => user.Name));
        LoadException failure = Assert.Throws<LoadException>(redis.Store.Acl.LoadAtStart);
        Assert.Equal("Aborting Redis startup because of ACL errors: " + shown, failure.Message);
    }

    [Fact]
    public void A_file_that_cannot_be_read_or_written_says_why()
    {
        using EngineHarness redis = WithFile(null);
        Assert.Equal("-ERR Error loading ACLs, opening file 'users.acl': No such file or directory", Replies.Show(redis.Run("ACL", "LOAD")));
        Directory.CreateDirectory(AclFile);
        Assert.Equal(
            "-ERR There was an error trying to save the ACLs. Please check the server logs for more information", Replies.Show(redis.Run("ACL", "SAVE")));
        Assert.Empty(Directory.GetFiles(_directory));
    }

    [Fact]
    public void Without_a_file_there_is_nothing_to_load_or_save()
    {
        using var redis = new EngineHarness();
        Assert.StartsWith("-ERR This Redis instance is not configured to use an ACL file.", redis.Show("ACL LOAD"), StringComparison.Ordinal);
        Assert.StartsWith("-ERR This Redis instance is not configured to use an ACL file.", redis.Show("ACL SAVE"), StringComparison.Ordinal);
    }

    [Fact]
    public void The_users_of_redis_conf_are_there_from_the_start_and_are_written_back()
    {
        string path = Path.Combine(_directory, "redis.conf");
        File.WriteAllText(path, "port 7000\nuser alice on >pw ~a* (+get ~b)\n# then\nuser default on nopass ~* +@all -flushdb\n");
        string[] before;
        using (ServerConfiguration configuration = ServerConfiguration.Load([path]))
        {
            using var redis = new EngineHarness(configuration);
            redis.Store.Acl.LoadAtStart();
            before = [.. ((object?[])redis.Run("ACL", "LIST")!).Cast<string>()];
            Assert.Equal("user default on nopass sanitize-payload ~* resetchannels +@all -flushdb", before[1]);
            Assert.Equal("-ERR Unknown option or number of arguments for CONFIG SET - 'user'", Replies.Show(redis.Run("CONFIG", "SET", "user", "x")));
            Assert.Empty((object?[])redis.Run("CONFIG", "GET", "user")!);
            redis.Run("ACL", "SETUSER", "carol", "on");
            Assert.Equal("OK", redis.Run("CONFIG", "REWRITE"));
        }
        string[] lines = File.ReadAllLines(path);
        Assert.Equal("port 7000", lines[0]);
        Assert.Equal("# then", lines[2]);
        Assert.DoesNotContain(lines, line => line.Contains("pw", StringComparison.Ordinal));
        using (ServerConfiguration configuration = ServerConfiguration.Load([path]))
        {
            using var redis = new EngineHarness(configuration);
            redis.Store.Acl.LoadAtStart();
            string[] after = [.. ((object?[])redis.Run("ACL", "LIST")!).Cast<string>()];
            Assert.Equal(["user carol on sanitize-payload resetchannels -@all"], after.Except(before));
            Assert.Empty(before.Except(after));
        }
    }

    [Fact]
    public void With_a_file_of_their_own_users_are_not_written_to_redis_conf()
    {
        string path = Path.Combine(_directory, "redis.conf");
        File.WriteAllText(path, $"dir {_directory}\naclfile users.acl\n");
        File.WriteAllText(AclFile, "user alice on\n");
        using ServerConfiguration configuration = ServerConfiguration.Load([path]);
        using var redis = new EngineHarness(configuration);
        redis.Store.Acl.LoadAtStart();
        Assert.Equal("OK", redis.Run("CONFIG", "REWRITE"));
        Assert.DoesNotContain("user ", File.ReadAllText(path), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("user alice on\nuser alice off", "Duplicate user found. A user can only be defined once in config files")]
    [InlineData("user", "wrong number of arguments")]
    [InlineData("rename-command GET", "wrong number of arguments")]
    public void A_line_that_makes_no_sense_stops_the_server(string lines, string error)
    {
        string path = Path.Combine(_directory, "redis.conf");
        File.WriteAllText(path, lines);
        Assert.Contains(error, Assert.Throws<ConfigurationException>(() => ServerConfiguration.Load([path])).Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("user a >secret >other <nothing", "Error loading ACL rule '<(redacted)' for the user named 'a': The password you are trying to remove from "
        + "the user does not exist")]
    [InlineData("user a +nothing", "Error loading ACL rule '+nothing' for the user named 'a': Unknown command or category name in ACL")]
    [InlineData("user a (~a", "Error in user declaration 'a': Unmatched parenthesis in acl selector starting at '(~a'.")]
    [InlineData("user \"a b\" \"\"", "Spaces not allowed in ACL usernames")]
    [InlineData("user a on\naclfile users.acl", "Configuring Redis with users defined in redis.conf and at the same setting an ACL file path is invalid.*")]
    public void Rules_that_make_no_sense_stop_the_server(string lines, string error)
    {
        string path = Path.Combine(_directory, "redis.conf");
        File.WriteAllText(path, lines);
        using ServerConfiguration configuration = ServerConfiguration.Load([path]);
        using var redis = new EngineHarness(configuration);
        string message = Assert.Throws<LoadException>(redis.Store.Acl.LoadAtStart).Message;
        Assert.StartsWith(error.TrimEnd('*'), message, StringComparison.Ordinal);
    }

    [Fact]
    public void Requirepass_is_the_password_of_the_default_user()
    {
        using var redis = new EngineHarness(options => options.RequirePass = "first");
        AclUser user = redis.Store.Acl.Default;
        Assert.True(user.Rules.Accepts("first"u8));
        Assert.False(redis.Store.Acl.IsOpen);
        Assert.Equal("OK", redis.Run("CONFIG", "SET", "requirepass", "second"));
        Assert.False(user.Rules.Accepts("first"u8));
        Assert.True(user.Rules.Accepts("second"u8));
        Assert.Equal("OK", redis.Run("CONFIG", "SET", "requirepass", ""));
        Assert.True(redis.Store.Acl.IsOpen);
        Assert.Equal("on nopass sanitize-payload ~* &* +@all", user.Rules.Describe());
    }

    [Fact]
    public void A_line_for_the_default_user_goes_before_requirepass()
    {
        using var redis = new EngineHarness(options =>
        {
            options.RequirePass = "first";
            options.Users = new(["default", "on", ">own", "~*", "+@all"]);
        });
        redis.Store.Acl.LoadAtStart();
        Assert.False(redis.Store.Acl.Default.Rules.Accepts("first"u8));
        Assert.True(redis.Store.Acl.Default.Rules.Accepts("own"u8));
    }

    private EngineHarness WithFile(string? content)
    {
        if (content is not null) File.WriteAllText(AclFile, content);
        return new(options =>
        {
            options.Dir = _directory;
            options.AclFile = "users.acl";
        });
    }
}

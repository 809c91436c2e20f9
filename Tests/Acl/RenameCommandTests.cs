using OrleansRedis.Engine;
using Xunit;
using Request = OrleansRedis.Engine.Request;

namespace OrleansRedis.Tests.Acl;

public sealed class RenameCommandTests
{
    private readonly CommandTable _commands = new(typeof(Store).Assembly);

    [Fact]
    public void A_renamed_command_has_its_new_name_alone()
    {
        CommandInfo get = _commands.Find("get"u8)!, georadius = _commands.Find("georadiusbymember"u8)!;
        Assert.Null(_commands.Rename("GET", "Fetch"));
        Assert.Null(_commands.Rename("GEORADIUSBYMEMBER", "AnotherLongName"));
        Assert.Null(_commands.Find("GET"u8));
        Assert.Same(get, _commands.Find("fEtch"u8));
        Assert.Null(_commands.Find("georadiusbymember"u8));
        Assert.Same(georadius, _commands.Find("ANOTHERLONGNAME"u8));
        Assert.Null(_commands.Find("anotherlongnam"u8));
        Assert.Contains(get, _commands.Commands);
        // Another command may have the name that is free now.
        Assert.Null(_commands.Rename("set", "get"));
        Assert.Equal("set", _commands.Find("get"u8)!.Name);
    }

    [Fact]
    public void A_command_without_a_name_is_gone()
    {
        int before = _commands.Commands.Count;
        Assert.Null(_commands.Rename("config", ""));
        Assert.Null(_commands.Resolve(AclRuleGenerator.Owned(["CONFIG", "GET", "port"]).Request));
        Assert.Equal(before - 1, _commands.Commands.Count);
        Assert.Equal(before, _commands.Declared.Count);
    }

    [Theory]
    [InlineData("nothing", "x", "No such command in rename-command")]
    [InlineData("get", "SET", "Target command name already exists")]
    public void A_renaming_that_makes_no_sense_is_refused(string from, string to, string error) => Assert.Equal(error, _commands.Rename(from, to));

    [Fact]
    public void Rules_and_logs_have_the_names_of_old()
    {
        Assert.Null(_commands.Rename("set", "put"));
        Assert.Null(_commands.Rename("flushall", ""));
        CommandInfo set = _commands.Find("put"u8)!;
        var rules = new AclRules(_commands, allChannelsByDefault: false);
        Assert.Equal(AclError.None, rules.Apply("+set"));
        Assert.Equal(AclError.None, rules.Apply("+flushall"));
        Assert.Equal(AclError.UnknownCommand, rules.Apply("+put"));
        rules.Apply("~a");
        Request request = AclRuleGenerator.Owned(["PUT", "a", "1"]).Request;
        Assert.True(rules.Check(set, request).IsAllowed);
        Assert.Same(set, _commands.ResolveLogged(AclRuleGenerator.Owned(["SET", "a", "1"]).Request));
        Assert.Same(set, _commands.ResolveLogged(request)); // from a log of redis-server
        Assert.Equal("flushall", _commands.ResolveLogged(AclRuleGenerator.Owned(["FLUSHALL"]).Request)!.Name);
        Assert.Equal("config|get", _commands.ResolveLogged(AclRuleGenerator.Owned(["CONFIG", "GET", "x"]).Request)!.Name);
    }
}

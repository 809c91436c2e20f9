using System.Text;

namespace OrleansRedis.Engine;

/// <summary>The replies of the HELP subcommands.</summary>
internal static class Help
{
    /// <summary>Replies with the lines that tell of a container's subcommands, in the frame that Redis puts around them.</summary>
    public static void Reply(ref CommandContext call, params ReadOnlySpan<string> lines)
    {
        string container = call.Command.Name.Split('|')[0].ToUpperInvariant();
        call.Reply.Array(lines.Length + 3);
        call.Reply.SimpleString(Encoding.UTF8.GetBytes($"{container} <subcommand> [<arg> [value] [opt] ...]. Subcommands are:"));
        foreach (string line in lines) call.Reply.SimpleString(Encoding.UTF8.GetBytes(line));
        call.Reply.SimpleString("HELP"u8);
        call.Reply.SimpleString("    Print this help."u8);
    }
}

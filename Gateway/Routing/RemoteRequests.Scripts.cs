using OrleansRedis.Cluster;
using OrleansRedis.Engine;

namespace OrleansRedis.Gateway;

/// <summary>Scripts by their SHA-1, which the silo that is to run them need not know.</summary>
public sealed partial class RemoteRequests
{
    /// <summary>
    /// EVALSHA of a script that this silo does not know: if any other one does, it is run as EVAL, and so is known here,
    /// too.
    /// </summary>
    private async Task<Verdict> FetchAndRunAsync(ClientConnection client, CommandInfo command, OwnedRequest request, RespWriter reply)
    {
        CommandInfo show = _server.Commands.FindDeclared("script|show"u8)!;
        OwnedRequest asking = OwnedRequest.Of("SCRIPT"u8.ToArray(), "SHOW"u8.ToArray(), request.Request[1].ToArray());
        foreach (SiloId silo in CurrentMembers.All)
        {
            if (silo == Self) continue;
            Part part = await AskAsync(silo, client, show, asking, share: null).ConfigureAwait(false);
            if (part.Status != RemoteStatus.Done || part.Reply is not [(byte)'$', ..]) continue;
            byte[] body = new ReplyReader(part.Reply).Bulk().ToArray();
            (CommandInfo eval, OwnedRequest whole) = WithBody(command, request, body);
            Verdict verdict = await _server.Runner.FinishAsync(client, eval, whole, former: null, reply, client.Disconnected).ConfigureAwait(false);
            return verdict == Verdict.Elsewhere ? await RunAsync(client, eval, whole, reply).ConfigureAwait(false) : verdict;
        }
        reply.Error("NOSCRIPT No matching script. Please use EVAL."u8);
        return Verdict.Admitted;
    }

    /// <summary>EVAL in place of EVALSHA; null if it is not that, or if the script is not known here.</summary>
    private (CommandInfo Command, OwnedRequest Request)? WithBody(CommandInfo command, OwnedRequest request) =>
        BodyFor(command, request.Request) is { } body ? WithBody(command, request, body) : null;

    private (CommandInfo Command, OwnedRequest Request) WithBody(CommandInfo command, OwnedRequest request, byte[] body)
    {
        var words = new ReadOnlyMemory<byte>[request.Count];
        for (int i = 0; i < words.Length; i++) words[i] = request.Request[i].ToArray();
        words[0] = command.Name == "evalsha" ? "EVAL"u8.ToArray() : "EVAL_RO"u8.ToArray();
        words[1] = body;
        return (_server.Commands.FindDeclared(words[0].Span)!, OwnedRequest.Of(words));
    }

    private byte[]? BodyFor(CommandInfo command, in Request request) =>
        command.Name is "evalsha" or "evalsha_ro" ? _server.Store.Scripts?.BodyOf(request[1]) : null;
}

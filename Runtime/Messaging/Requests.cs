namespace Orleans.Runtime;

/// <summary>Executes requests to things that are not grains, and answers requests.</summary>
internal static class Requests
{
    public static async Task Execute(NodeRuntime runtime, Message request, object target)
    {
        try
        {
            RequestContext.Restore(request.Context);
            Task task = request.Method!.Returns.AsTask(request.Method.Invoke(target, request.Arguments));
            await task.ConfigureAwait(false);
            Respond(runtime, request, request.Method.Returns.ResultOf(task));
        }
        catch (Exception exception)
        {
            Fail(runtime, request, exception);
        }
    }

    /// <summary>Answers with a result, which is copied when the caller is in this node.</summary>
    public static void Respond(NodeRuntime runtime, Message request, object? result)
    {
        if (request.Kind != MessageKind.Request) return;
        if (request.Call is { } call) call.Complete(request.Method!.CopyResult(result));
        else runtime.Send(request.CreateResponse(result));
    }

    /// <summary>Answers with an exception.</summary>
    public static void Fail(NodeRuntime runtime, Message request, Exception exception)
    {
        if (request.Kind != MessageKind.Request) return;
        if (request.Call is { } call) call.Fail(exception);
        else runtime.Send(request.CreateError(exception));
    }

    /// <summary>Answers that the request was not executed, so that its sender may send it again.</summary>
    public static void Reject(NodeRuntime runtime, Message request, string reason)
    {
        if (request.Kind != MessageKind.Request) return;
        if (request.Call is { } call) runtime.Undelivered(call, new OrleansMessageRejectionException(reason));
        else runtime.Send(request.CreateRejection(reason));
    }
}

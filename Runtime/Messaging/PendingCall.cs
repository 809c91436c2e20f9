namespace Orleans.Runtime;

/// <summary>A call that waits for its response. It completes once: by response, timeout, cancellation or failure, whichever is first.</summary>
internal abstract class PendingCall
{
    /// <summary>The request; null when this only stands for a result computed here.</summary>
    public Message? Message { get; set; }

    public NodeRuntime? Runtime { get; set; }

    public TimeSpan Timeout { get; set; }

    /// <summary>The clock's timestamp at which the call times out.</summary>
    public long Deadline { get; set; }

    /// <summary>How often the request was sent again after it could not be delivered.</summary>
    public int Resends { get; set; }

    /// <summary>In clients, the connection that the request went by.</summary>
    public object? Via { get; set; }

    public CancellationTokenRegistration Cancellation { get; set; }

    public abstract bool TrySetResult(object? result);

    public abstract bool TrySetException(Exception exception);

    public void Complete(object? result)
    {
        Forget();
        try
        {
            TrySetResult(result);
        }
        catch (InvalidCastException exception)
        {
            TrySetException(exception);
        }
    }

    public void Fail(Exception exception)
    {
        Forget();
        TrySetException(exception);
    }

    /// <summary>The caller cancelled its token: tells the callee and stops waiting.</summary>
    public void Cancel(CancellationToken token)
    {
        Runtime!.SendCancel(Message!);
        if (!Runtime.MessagingOptions.WaitForCancellationAcknowledgement) Fail(new OperationCanceledException(token));
    }

    private void Forget()
    {
        if (Message is { } message) Runtime!.Calls.Remove(message.Id);
        // Not waited for: a callback that runs at this moment is harmless, and may be the one that called this.
        Cancellation.Unregister();
    }
}

/// <inheritdoc/>
internal sealed class PendingCall<T> : PendingCall
{
    // Asynchronous, since whoever completes the call must not run the caller's code on its own turn.
    private readonly TaskCompletionSource<T> _completion = new(TaskCreationOptions.RunContinuationsAsynchronously);

    public Task<T> Task => _completion.Task;

    public override bool TrySetResult(object? result) => _completion.TrySetResult((T)result!);

    public override bool TrySetException(Exception exception) => exception is OperationCanceledException cancelled
        ? cancelled.CancellationToken.IsCancellationRequested ? _completion.TrySetCanceled(cancelled.CancellationToken) : _completion.TrySetException(exception)
        : _completion.TrySetException(exception);
}

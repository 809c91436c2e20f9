using System.Reflection;

namespace Orleans.Runtime;

/// <summary>What a grain method returns (void, Task, Task of T, ValueTask, ValueTask of T): how to make that for a caller, and how to await it for a callee.</summary>
internal abstract class ReturnShape
{
    /// <summary>The type of the result; void for none.</summary>
    public abstract Type ResultType { get; }

    /// <summary>A call to be completed later.</summary>
    public abstract PendingCall CreateCall();

    /// <summary>What the proxy returns for <paramref name="call"/>.</summary>
    public abstract object? Returned(PendingCall call);

    /// <summary>What the proxy returns for a call that nobody waits for.</summary>
    public abstract object? ReturnedOneWay { get; }

    /// <summary>What the proxy returns when <paramref name="result"/> is to be the outcome.</summary>
    public object? ReturnedFrom(Task<object?> result)
    {
        PendingCall call = CreateCall();
        result.ContinueWith(
            static (task, state) =>
            {
                var call = (PendingCall)state!;
                if (task.IsCompletedSuccessfully) call.TrySetResult(task.Result);
                else call.TrySetException(task.Exception?.InnerException ?? new TaskCanceledException(task));
            },
            call,
            CancellationToken.None,
            TaskContinuationOptions.ExecuteSynchronously,
            TaskScheduler.Default);
        return Returned(call);
    }

    /// <summary>What the method returned, as a task.</summary>
    public abstract Task AsTask(object? returned);

    /// <summary>The result of what <see cref="AsTask"/> made, once completed.</summary>
    public abstract object? ResultOf(Task task);

    public static ReturnShape Of(MethodInfo method)
    {
        Type type = method.ReturnType;
        if (type == typeof(void) || type == typeof(Task) || type == typeof(ValueTask)) return new Plain(type);
        if (type.IsGenericType && (type.GetGenericTypeDefinition() == typeof(Task<>) || type.GetGenericTypeDefinition() == typeof(ValueTask<>)))
            return (ReturnShape)Activator.CreateInstance(typeof(WithResult<>).MakeGenericType(type.GetGenericArguments()), [type.GetGenericTypeDefinition() == typeof(ValueTask<>)])!;
        throw new OrleansConfigurationException($"{method.DeclaringType}.{method.Name} returns {type}; grain methods return void, Task, Task<T>, ValueTask or ValueTask<T>");
    }

    private sealed class Plain(Type type) : ReturnShape
    {
        public override Type ResultType => typeof(void);

        public override object? ReturnedOneWay { get; } = type == typeof(void) ? null : type == typeof(Task) ? Task.CompletedTask : default(ValueTask);

        public override PendingCall CreateCall() => new PendingCall<object?>();

        public override object? Returned(PendingCall call)
        {
            Task task = ((PendingCall<object?>)call).Task;
            return type == typeof(void) ? null : type == typeof(Task) ? task : new ValueTask(task);
        }

        public override Task AsTask(object? returned) => returned switch
        {
            Task task => task,
            ValueTask task => task.AsTask(),
            _ => Task.CompletedTask,
        };

        public override object? ResultOf(Task task) => null;
    }

    private sealed class WithResult<T>(bool isValueTask) : ReturnShape
    {
        public override Type ResultType => typeof(T);

        public override object? ReturnedOneWay { get; } = isValueTask ? default(ValueTask<T>) : Task.FromResult<T>(default!);

        public override PendingCall CreateCall() => new PendingCall<T>();

        public override object? Returned(PendingCall call)
        {
            Task<T> task = ((PendingCall<T>)call).Task;
            return isValueTask ? new ValueTask<T>(task) : task;
        }

        public override Task AsTask(object? returned) => returned switch
        {
            Task<T> task => task,
            ValueTask<T> task => task.AsTask(),
            _ => throw new InvalidOperationException("A grain method returned null instead of a task"),
        };

        public override object? ResultOf(Task task) => ((Task<T>)task).Result;
    }
}

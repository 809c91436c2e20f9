using System.Diagnostics.CodeAnalysis;

namespace Orleans.Runtime;

/// <summary>A piece of work that is a turn, without being a task yet.</summary>
internal interface ITurn
{
    void Run();
}

/// <summary>Runs the turns of one activation, one at a time, on the thread pool: the scheduler that tasks of the activation see as
/// <see cref="TaskScheduler.Current"/>, so that what follows an await is a turn of the same activation.</summary>
internal sealed class TurnQueue(IGrainContext owner) : TaskScheduler, IThreadPoolWorkItem, IWorkItemScheduler
{
    /// <summary>How long an activation with work may hold a thread while others wait.</summary>
    private const long QuantumMs = 100;

    // All under lock (this). Nearly always at most one turn waits, so the queue proper is made only when a second one comes.
    private object? _first;
    private Queue<object>? _rest;
    private bool _scheduled;

    public override int MaximumConcurrencyLevel => 1;

    /// <summary>Adds a turn: an <see cref="ITurn"/> or a <see cref="Task"/> of this scheduler.</summary>
    public void Enqueue(object turn)
    {
        lock (this)
        {
            if (_first is null && (_rest is null || _rest.Count == 0)) _first = turn;
            else (_rest ??= new Queue<object>(2)).Enqueue(turn);
            if (_scheduled) return;
            _scheduled = true;
        }

        ThreadPool.UnsafeQueueUserWorkItem(this, preferLocal: true);
    }

    void IThreadPoolWorkItem.Execute()
    {
        IGrainContext? previous = RuntimeContext.Swap(owner);
        try
        {
            long start = Environment.TickCount64;
            while (TryTake(out object? turn))
            {
                // As a task: what it awaits then resumes here. The thread pool's thread has the default execution context, so nothing of the sender's flows in.
                if (turn is Task task) TryExecuteTask(task);
                else new Task(static turn => ((ITurn)turn!).Run(), turn).RunSynchronously(this);
                if (Environment.TickCount64 - start < QuantumMs) continue;
                ThreadPool.UnsafeQueueUserWorkItem(this, preferLocal: false);
                return;
            }
        }
        finally
        {
            RuntimeContext.Swap(previous);
        }
    }

    void IWorkItemScheduler.QueueAction(Action action) => Enqueue(new ActionTurn(static action => ((Action)action)(), action));

    void IWorkItemScheduler.QueueAction(Action<object> action, object state) => Enqueue(new ActionTurn(action, state));

    void IWorkItemScheduler.QueueTask(Task task) => task.Start(this);

    protected override void QueueTask(Task task) => Enqueue(task);

    protected override bool TryExecuteTaskInline(Task task, bool taskWasPreviouslyQueued) =>
        !taskWasPreviouslyQueued && ReferenceEquals(RuntimeContext.Current, owner) && TryExecuteTask(task);

    protected override IEnumerable<Task> GetScheduledTasks()
    {
        lock (this)
        {
            return [.. (_first is Task first ? [first] : Array.Empty<Task>()), .. _rest?.OfType<Task>() ?? []];
        }
    }

    private bool TryTake([NotNullWhen(true)] out object? turn)
    {
        lock (this)
        {
            turn = _first;
            _first = null;
            if (turn is not null || (_rest is not null && _rest.TryDequeue(out turn))) return true;
            // A queue that once was long is let go with its array.
            if (_rest?.Capacity > 16) _rest = null;
            _scheduled = false;
            return false;
        }
    }
}

/// <summary>A delegate as a turn.</summary>
internal sealed class ActionTurn(Action<object> action, object state) : ITurn
{
    public void Run() => action(state);
}

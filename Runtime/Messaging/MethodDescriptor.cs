using System.Linq.Expressions;
using System.Reflection;
using Orleans.Concurrency;
using Orleans.Serialization;

namespace Orleans.Runtime;

/// <summary>A method of a grain interface: what its attributes say, the codecs of its arguments and result, and how to call it. Immutable but for what is made on first use.</summary>
internal sealed class MethodDescriptor
{
    private readonly Type[] _parameterTypes;
    private readonly bool[] _immutableParameters;
    private readonly bool _immutableResult;
    private Codec[]? _codecs;
    private Codec? _resultCodec;
    private Func<object, object?[], object?>? _invoker;

    public MethodDescriptor(InterfaceDescriptor owner, MethodInfo method)
    {
        Interface = owner;
        Info = method;
        ParameterInfo[] parameters = method.GetParameters();
        _parameterTypes = [.. parameters.Select(parameter => parameter.ParameterType)];
        _immutableParameters = [.. parameters.Select(parameter => parameter.IsDefined(typeof(ImmutableAttribute), false) || parameter.ParameterType == typeof(CancellationToken))];
        _immutableResult = method.ReturnParameter.IsDefined(typeof(ImmutableAttribute), false);
        CancellationIndex = Array.IndexOf(_parameterTypes, typeof(CancellationToken));
        IsOneWay = method.IsDefined(typeof(OneWayAttribute)) || method.ReturnType == typeof(void);
        IsAlwaysInterleave = method.IsDefined(typeof(AlwaysInterleaveAttribute));
        IsReadOnly = method.IsDefined(typeof(ReadOnlyAttribute));
        ResponseTimeout = method.GetCustomAttribute<ResponseTimeoutAttribute>()?.Timeout;
        Returns = ReturnShape.Of(method);
        string name = method.GetCustomAttribute<AliasAttribute>()?.Alias
            ?? method.GetCustomAttribute<IdAttribute>()?.Id.ToString()
            ?? $"{method.Name}({string.Join(',', _parameterTypes.Select(TypeNames.NameOf))})";
        Id = StableHash.ComputeHash(name);
    }

    public InterfaceDescriptor Interface { get; }

    public MethodInfo Info { get; }

    /// <summary>The method's number on the wire: the hash of its [Alias], its [Id], or its signature.</summary>
    public uint Id { get; }

    /// <summary>Which argument is the cancellation token; -1 for none.</summary>
    public int CancellationIndex { get; }

    public bool IsOneWay { get; }

    public bool IsAlwaysInterleave { get; }

    public bool IsReadOnly { get; }

    public TimeSpan? ResponseTimeout { get; }

    public ReturnShape Returns { get; }

    private Codec[] Codecs => _codecs ??= [.. _parameterTypes.Select(CodecProvider.Get)];

    private Codec ResultCodec => _resultCodec ??= CodecProvider.Get(Returns.ResultType);

    /// <summary>Copies arguments in place, as if they had gone over the wire.</summary>
    public void CopyArguments(object?[] arguments)
    {
        Codec[] codecs = Codecs;
        for (int i = 0; i < codecs.Length; i++)
        {
            if (!_immutableParameters[i] && !codecs[i].IsImmutable) arguments[i] = codecs[i].CopyObject(arguments[i]);
        }
    }

    public object? CopyResult(object? result) =>
        Returns.ResultType == typeof(void) || result is null || _immutableResult || ResultCodec.IsImmutable ? result : ResultCodec.CopyObject(result);

    public void WriteArguments(WireWriter writer, object?[] arguments)
    {
        for (int i = 0; i < Codecs.Length; i++) Codecs[i].WriteObject(writer, arguments[i]);
    }

    public object?[] ReadArguments(WireReader reader)
    {
        var arguments = new object?[Codecs.Length];
        for (int i = 0; i < arguments.Length; i++) arguments[i] = Codecs[i].ReadObject(reader);
        return arguments;
    }

    public void WriteResult(WireWriter writer, object? result)
    {
        if (Returns.ResultType != typeof(void)) ResultCodec.WriteObject(writer, result);
    }

    public object? ReadResult(WireReader reader) => Returns.ResultType == typeof(void) ? null : ResultCodec.ReadObject(reader);

    /// <summary>Calls the method on <paramref name="target"/>; what it throws before its first await is thrown here.</summary>
    public object? Invoke(object target, object?[] arguments) => (_invoker ??= Compile())(target, arguments);

    private Func<object, object?[], object?> Compile()
    {
        ParameterExpression target = Expression.Parameter(typeof(object));
        ParameterExpression arguments = Expression.Parameter(typeof(object?[]));
        Expression call = Expression.Call(
            Expression.Convert(target, Info.DeclaringType!),
            Info,
            _parameterTypes.Select((type, i) => Expression.Convert(Expression.ArrayIndex(arguments, Expression.Constant(i)), type)));
        call = Info.ReturnType == typeof(void) ? Expression.Block(call, Expression.Constant(null)) : Expression.Convert(call, typeof(object));
        return Expression.Lambda<Func<object, object?[], object?>>(call, target, arguments).Compile();
    }
}

//! Functions whose results count towards the memory limit: each function of DataFusion, and the
//! operator `||`, inside a [`Bounded`].
//!
//! A function that can return much more than it receives is not called if its result would exceed
//! the limit ([`growth`](super::growth)). All other results are counted when they exist. The wrapper
//! takes the place of the function: a call of another function around it would make planning
//! slower, because its time is quadratic in the depth of calls.

use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, FieldRef};
use datafusion::common::config::ConfigOptions;
use datafusion::common::not_impl_err;
use datafusion::common::tree_node::{Transformed, TransformedResult as _, TreeNode as _};
use datafusion::error::Result;
use datafusion::logical_expr::expr::{Cast, ScalarFunction, TryCast};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::interval_arithmetic::Interval;
use datafusion::logical_expr::preimage::PreimageResult;
use datafusion::logical_expr::simplify::{ExprSimplifyResult, SimplifyContext};
use datafusion::logical_expr::sort_properties::{ExprProperties, SortProperties};
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{
    BinaryExpr, ColumnarValue, Documentation, Expr, ExpressionPlacement, LogicalPlan, Operator,
    ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, StructFieldMapping,
};
use datafusion::optimizer::AnalyzerRule;

use super::concatenation::Concatenation;
use super::counted::counted;
use super::growth::Growth;
use super::sizes;

/// The largest value of a type whose values all have the same size. A null of such a type takes as
/// much memory as any other value.
const LARGEST_FIXED: usize = 64 << 10;

/// Puts every function of a plan inside a [`Bounded`], also those that the SQL planner added. It
/// runs after the types of a query are decided.
#[derive(Debug)]
pub(super) struct BoundFunctions;

impl AnalyzerRule for BoundFunctions {
    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        plan.transform_up_with_subqueries(|plan| {
            let schema = merge_schema(&plan.inputs());
            let names = NamePreserver::new(&plan);
            plan.map_expressions(|expression| {
                let name = names.save(&expression);
                let bounded = expression.transform_up(|part| match part {
                    Expr::BinaryExpr(BinaryExpr {
                        left,
                        op: Operator::StringConcat,
                        right,
                    }) => Concatenation::call(*left, *right, &schema).map(Transformed::yes),
                    Expr::Cast(Cast { ref field, .. })
                    | Expr::TryCast(TryCast { ref field, .. }) => {
                        check_type(field.data_type())?;
                        Ok(Transformed::no(part))
                    }
                    part => Ok(bounded(part)),
                })?;
                Ok(bounded.update_data(|expression| name.restore(expression)))
            })
        })
        .data()
    }

    fn name(&self) -> &'static str {
        "bound_functions"
    }
}

/// Returns a function inside a [`Bounded`].
pub(super) fn bound(function: &ScalarUDF) -> Arc<ScalarUDF> {
    if function.inner().is::<Bounded>() || function.inner().is::<Concatenation>() {
        return Arc::new(function.clone());
    }
    Arc::new(ScalarUDF::from(Bounded {
        growth: Growth::of(function.name()),
        function: function.clone(),
    }))
}

fn bounded(expression: Expr) -> Transformed<Expr> {
    match expression {
        Expr::ScalarFunction(ScalarFunction { func, args }) if !func.inner().is::<Bounded>() => {
            Transformed::yes(Expr::ScalarFunction(ScalarFunction::new_udf(
                bound(&func),
                args,
            )))
        }
        other => Transformed::no(other),
    }
}

fn check_type(data_type: &DataType) -> Result<()> {
    match sizes::fixed_size(data_type) {
        Some(bytes) if bytes > LARGEST_FIXED => {
            not_impl_err!("a type whose values have a fixed size of more than 64 KiB")
        }
        _ => Ok(()),
    }
}

/// A function whose result counts towards the memory limit.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Bounded {
    function: ScalarUDF,
    growth: Growth,
}

impl Bounded {
    fn inner(&self) -> &dyn ScalarUDFImpl {
        &**self.function.inner()
    }
}

#[warn(clippy::missing_trait_methods)] // A method that is missing here would change the function.
impl ScalarUDFImpl for Bounded {
    fn name(&self) -> &str {
        self.inner().name()
    }

    fn aliases(&self) -> &[String] {
        self.inner().aliases()
    }

    fn display_name(&self, arguments: &[Expr]) -> Result<String> {
        #[expect(deprecated, reason = "DataFusion's trait has this method")]
        self.inner().display_name(arguments)
    }

    fn schema_name(&self, arguments: &[Expr]) -> Result<String> {
        self.inner().schema_name(arguments)
    }

    fn signature(&self) -> &Signature {
        self.inner().signature()
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        self.inner().return_type(types)
    }

    fn with_updated_config(&self, config: &ConfigOptions) -> Option<ScalarUDF> {
        let updated = self.inner().with_updated_config(config)?;
        Some(ScalarUDF::clone(&bound(&updated)))
    }

    fn return_field_from_args(&self, arguments: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        let field = self.inner().return_field_from_args(arguments)?;
        check_type(field.data_type())?;
        Ok(field)
    }

    fn is_nullable(&self, arguments: &[Expr], schema: &dyn datafusion::common::ExprSchema) -> bool {
        #[expect(deprecated, reason = "DataFusion's trait has this method")]
        self.inner().is_nullable(arguments, schema)
    }

    fn is_strict(&self) -> bool {
        self.inner().is_strict()
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let expected = self.growth.expected(&arguments);
        counted(self.name(), expected, || {
            self.function.invoke_with_args(arguments)
        })
    }

    fn simplify(&self, arguments: Vec<Expr>, info: &SimplifyContext) -> Result<ExprSimplifyResult> {
        Ok(match self.inner().simplify(arguments, info)? {
            ExprSimplifyResult::Simplified(simpler) => {
                let simpler = simpler.transform_up(|part| Ok(bounded(part))).data()?;
                ExprSimplifyResult::Simplified(simpler)
            }
            original @ ExprSimplifyResult::Original(_) => original,
        })
    }

    fn preimage(
        &self,
        arguments: &[Expr],
        literal: &Expr,
        info: &SimplifyContext,
    ) -> Result<PreimageResult> {
        self.inner().preimage(arguments, literal, info)
    }

    fn short_circuits(&self) -> bool {
        self.inner().short_circuits()
    }

    fn conditional_arguments<'a>(
        &self,
        arguments: &'a [Expr],
    ) -> Option<(Vec<&'a Expr>, Vec<&'a Expr>)> {
        self.inner().conditional_arguments(arguments)
    }

    fn evaluate_bounds(&self, input: &[&Interval]) -> Result<Interval> {
        self.inner().evaluate_bounds(input)
    }

    fn propagate_constraints(
        &self,
        interval: &Interval,
        inputs: &[&Interval],
    ) -> Result<Option<Vec<Interval>>> {
        self.inner().propagate_constraints(interval, inputs)
    }

    fn output_ordering(&self, inputs: &[ExprProperties]) -> Result<SortProperties> {
        self.inner().output_ordering(inputs)
    }

    fn preserves_lex_ordering(&self, inputs: &[ExprProperties]) -> Result<bool> {
        self.inner().preserves_lex_ordering(inputs)
    }

    fn strictly_order_preserving(&self, inputs: &[ExprProperties]) -> Result<bool> {
        self.inner().strictly_order_preserving(inputs)
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        self.inner().coerce_types(types)
    }

    fn struct_field_mapping(
        &self,
        literals: &[Option<datafusion::common::ScalarValue>],
    ) -> Option<StructFieldMapping> {
        self.inner().struct_field_mapping(literals)
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.inner().documentation()
    }

    fn placement(&self, arguments: &[ExpressionPlacement]) -> ExpressionPlacement {
        self.inner().placement(arguments)
    }
}
